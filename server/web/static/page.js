// Forms that answer in place. Without this script the same forms load the page with the answer.
import { piece, put } from "./piece.js";

async function answer(form, button) {
  const into = document.getElementById(form.dataset.into);
  const label = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.textContent = form.dataset.busy;
  try {
    const response = await fetch(form.action, { method: "POST", headers: piece, body: new URLSearchParams(new FormData(form)) });
    put(into, await response.text());
  } catch {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.dataset.say = notice.textContent = form.dataset.lost;
    into.replaceChildren(notice);
  } finally {
    button.removeAttribute("aria-disabled");
    button.textContent = label;
  }
  const said = document.getElementById("said"), says = into.querySelector("[data-say]");
  if (said && says) said.textContent = says.dataset.say;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (into.getBoundingClientRect().top > innerHeight * 0.7) into.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

document.addEventListener("submit", event => {
  const form = event.target;
  if (!form.dataset.into) return;
  event.preventDefault();
  const button = event.submitter || form.querySelector("button");
  if (button.getAttribute("aria-disabled") !== "true") answer(form, button);
});

// An example is the form of another page: its values are put into this one.
document.addEventListener("click", async event => {
  const link = event.target.closest("a[data-example]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const response = await fetch(link.href);
    const other = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const name of ["title", "text"]) document.getElementById(name).value = other.getElementById(name).value ?? "";
    link.href = other.querySelector("a[data-example]").getAttribute("href");
    document.getElementById("text").focus();
  } catch {
    location.href = link.href;
  }
});
