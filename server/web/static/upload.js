// A file that is classified piece by piece: how far it is, and the sheet when it is done. Without this script the form's answer is the sheet.
import { piece, put } from "./piece.js";

const number = new Intl.NumberFormat(document.documentElement.lang === "da" ? "da-DK" : "en-GB");
const form = document.querySelector("form[data-upload]");
const find = name => form.querySelector("[data-" + name + "]");
const fill = (text, ...values) => values.reduce((t, v, i) => t.replace("{" + i + "}", number.format(v)), text);
let stop = null;

function say(text) { find("said").textContent = text; }

// Reads lines of JSON from a response as they come.
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const line of parts) yield JSON.parse(line);
  }
}

async function send() {
  const bar = find("progress"), progress = bar.querySelector("progress"), download = find("download");
  stop = new AbortController();
  download.hidden = true;
  bar.hidden = find("cancel").hidden = false;
  progress.removeAttribute("value");
  say("");
  try {
    const response = await fetch(form.action, { method: "POST", headers: piece, body: new FormData(form), signal: stop.signal });
    if (!(response.headers.get("Content-Type") || "").includes("ndjson")) {
      put(find("said"), await response.text());
      return;
    }
    const sheet = [];
    let last = { done: 0, of: 1 };
    for await (const line of lines(response)) {
      last = line;
      sheet.push(line.csv);
      progress.max = line.of;
      progress.value = line.done;
      say(fill(form.dataset.busy, line.done, line.of));
    }
    if (last.done < last.of) throw new Error("the answer ended early");
    const link = download.querySelector("a");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob(sheet, { type: "text/csv;charset=utf-8" }));
    link.download = last.name;
    download.hidden = false;
    say(fill(form.dataset.done, last.done) + (last.refused ? " " + fill(form.dataset.refused, last.refused) : ""));
  } catch {
    say(stop.signal.aborted ? form.dataset.stopped : form.dataset.lost);
  } finally {
    bar.hidden = find("cancel").hidden = true;
    stop = null;
  }
}

if (form) {
  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!stop) send();
  });
  find("cancel").addEventListener("click", () => stop?.abort());
}
