// The flow as it happens: events come over one connection, the figures are the server's own piece of the page. Without this script the page is a snapshot.
import { piece, put } from "./piece.js";

const language = document.documentElement.lang === "da" ? "da-DK" : "en-GB";
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium", timeZone: "Europe/Copenhagen" });
const percent = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const tenth = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });

// The same forms as the server's.
function seconds(s) {
  if (s < 0.9995) return whole.format(1000 * s) + "\u00a0ms";
  if (s < 59.95) return tenth.format(s) + "\u00a0s";
  return tenth.format(s / 60) + "\u00a0min";
}

const most = 40, every = 2000;
const list = document.getElementById("events"), figures = document.getElementById("figures");
const pause = document.querySelector("[data-pause]"), broken = document.querySelector("[data-broken]");
const toPause = pause?.textContent;
let paused = false, stale = true, asking = false, waiting = 0;

function show(event) {
  stale = true;
  if (paused) {
    pause.textContent = pause.dataset.waiting.replace("{0}", whole.format(++waiting));
    return;
  }
  const row = document.getElementById(event.kind === "refused" ? "refused" : "classified").content.firstElementChild.cloneNode(true);
  const set = (name, text) => { const at = row.querySelector(name); if (at) at.textContent = text; };
  const time = row.querySelector("time");
  time.dateTime = event.at;
  time.textContent = clock.format(new Date(event.at));
  if (event.kind === "refused") {
    set(".reason", event.reason || event.class || "");
    row.querySelector(".reason").lang = "en";
    set(".occupation", event.stage || "");
  } else {
    set(".what", event.category || "");
    set(".occupation", event.occupation || "");
    set(".confidence", percent.format(event.confidence || 0));
    set(".latency", seconds(event.seconds || 0));
  }
  if (event.missed) {
    const missed = document.createElement("span");
    missed.className = "missed";
    missed.textContent = list.dataset.missed.replace("{0}", whole.format(event.missed));
    row.querySelector(".what").append(missed);
  }
  row.classList.add("new");
  list.prepend(row);
  while (list.children.length > most) list.lastElementChild.remove();
  document.querySelector("[data-empty]").hidden = true;
}

async function refresh() {
  if (paused || asking || !stale || document.hidden) return;
  asking = true;
  stale = false;
  try {
    const response = await fetch("/live", { headers: piece });
    if (response.ok) put(figures, await response.text());
  } catch {
    stale = true;
  } finally {
    asking = false;
  }
}

if (list) {
  const events = new EventSource("/v1/events");
  const take = message => { try { show(JSON.parse(message.data)); } catch { /* a line that is no event is not ours */ } };
  for (const kind of ["message", "classified", "refused"]) events.addEventListener(kind, take);
  events.addEventListener("open", () => { broken.hidden = true; stale = true; list.dataset.open = "1"; });
  events.addEventListener("error", () => { broken.textContent = broken.dataset.broken; broken.hidden = false; });
  setInterval(refresh, every);
  setInterval(() => { stale = true; }, 15000); // rates fall when nothing comes
  document.querySelector("[data-refresh]").hidden = true;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    waiting = 0;
    pause.textContent = paused ? pause.dataset.resume : toPause;
    refresh();
  });
}
