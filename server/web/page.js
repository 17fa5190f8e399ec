"use strict";

const element = id => document.getElementById(id);
const percent = new Intl.NumberFormat("da-DK", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

// What the server's statuses mean to the one who reads the page.
const messages = {
  400: "Skriv eller indsæt en tekst først.",
  413: "Teksten er for lang. Indsæt kun ét stillingsopslag.",
  422: "Der kunne ikke findes noget at klassificere i teksten. Indsæt hele opslaget, gerne med stillingsbetegnelse og opgaver.",
  429: "Der er travlt lige nu. Prøv igen om et øjeblik.",
  503: "Tjenesten er ikke klar endnu. Prøv igen om et øjeblik.",
};

function fail(text) {
  element("result").hidden = true;
  element("message").textContent = text;
  element("message").hidden = false;
}

function show(answer) {
  element("message").hidden = true;
  element("category").textContent = answer.categori_label;
  element("confidence").textContent = "Sikkerhed: " + percent.format(answer.confidence) +
    (answer.truncated ? ". Teksten var lang; kun begyndelsen er læst." : "");
  const bars = element("bars");
  const rows = [...bars.children].sort((a, b) => answer.probability_distribution[b.dataset.index] - answer.probability_distribution[a.dataset.index]);
  rows.forEach((row, i) => {
    const share = answer.probability_distribution[row.dataset.index];
    row.classList.toggle("first", i === 0);
    row.querySelector(".bar").style.width = 100 * share + "%";
    row.querySelector(".share").textContent = percent.format(share);
    bars.append(row);
  });
  const found = element("found");
  found.replaceChildren();
  for (const [name, list] of [["Stillingsbetegnelser", answer.occupations], ["Opgaver", answer.tasks], ["Kvalifikationer", answer.skills]]) {
    if (!list || list.length === 0) continue;
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = list.join(" · ");
    found.append(term, text);
  }
  element("result").hidden = false;
}

element("form").addEventListener("submit", async event => {
  event.preventDefault();
  const button = event.submitter || document.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("/classify", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ title: element("title").value, text: element("text").value }),
    });
    const answer = response.ok ? await response.json() : null;
    if (answer && answer.frontend_error_message) fail(answer.frontend_error_message);
    else if (answer) show(answer);
    else fail(messages[response.status] || "Der skete en fejl. Prøv igen senere.");
  } catch {
    fail("Der er ingen forbindelse til tjenesten. Prøv igen.");
  } finally {
    button.disabled = false;
  }
});
