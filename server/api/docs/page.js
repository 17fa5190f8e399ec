"use strict";

// The part of a stream that is shown; then it is let go.
const mostShown = 20000;

// request makes the address and the options of fetch from a form.
function request(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams(), options = { method: form.dataset.method, headers: {} };
  for (const input of form.querySelectorAll("input")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(input.name, input.value);
  }
  const body = form.querySelector("textarea"), token = document.getElementById("token").value.trim();
  if (body && body.value.trim() !== "") {
    options.body = body.value;
    options.headers["Content-Type"] = body.dataset.type;
  }
  if (token !== "") options.headers.Authorization = `Bearer ${token}`;
  return [path + (query.size > 0 ? `?${query}` : ""), options];
}

// show writes an answer as it comes.
async function show(response, out) {
  out.textContent = `${response.status} ${response.statusText}\n`;
  for (const name of ["content-type", "location", "retry-after", "x-request-id"]) {
    if (response.headers.has(name)) out.textContent += `${name}: ${response.headers.get(name)}\n`;
  }
  out.textContent += "\n";
  if (/json$/.test(response.headers.get("content-type") || "") && !/ndjson/.test(response.headers.get("content-type"))) {
    out.textContent += JSON.stringify(await response.json(), null, 2);
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    out.textContent += value;
    if (out.textContent.length > mostShown) {
      out.textContent += "\n…";
      return reader.cancel();
    }
  }
}

document.getElementById("token-form").addEventListener("submit", event => event.preventDefault());
for (const form of document.querySelectorAll("form.try")) {
  let under = null; // what is under way; trying again lets it go
  form.addEventListener("submit", async event => {
    event.preventDefault();
    if (under) under.abort();
    const mine = under = new AbortController(), out = form.querySelector(".answer");
    const [path, options] = request(form);
    out.hidden = false;
    out.textContent = "…";
    try {
      await show(await fetch(path, { ...options, signal: mine.signal }), out);
    } catch (error) {
      if (mine === under) out.textContent = `There is no answer: ${error.message}`;
    }
  });
}
