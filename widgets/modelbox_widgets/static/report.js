// Draws the charts of a report and lets its tables be sorted and searched. Everything that it shows is in the page already.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
const refuse = () => Promise.reject(new Error("A report loads nothing."));

/** Draw one chart; its expressions run in an interpreter, so that the page may forbid code made from text. */
function draw(place) {
  const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    ast: true,
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
    tooltip: { theme: dark ? "dark" : "light" },
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: place.dataset.spec,
  };
  vegaEmbed(place, spec, options).catch(() => {
    const picture = place.parentElement.querySelector("noscript");
    place.replaceChildren(document.createRange().createContextualFragment(picture.textContent));
  });
}

/** Return what a cell is sorted by: a number where it shows one, else its text. */
function key(row, column) {
  const text = row.cells[column].textContent.trim().replace("∞", "Infinity");
  const number = text === "" ? NaN : Number(text);
  return Number.isNaN(number) ? [1, text.toLowerCase(), text === ""] : [0, number, false];
}

function compare(one, other) {
  if (one[2] !== other[2]) return null; // empty cells stay at the end
  if (one[0] !== other[0]) return one[0] - other[0];
  return one[1] < other[1] ? -1 : one[1] > other[1] ? 1 : 0;
}

function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
  rows.sort(([one], [other]) => compare(one, other) === null ? (one[2] ? 1 : -1) : (down ? -1 : 1) * compare(one, other));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    cell.append(button);
  });
}

const search = document.getElementById("search");
search?.addEventListener("input", () => {
  const wanted = search.value.toLowerCase();
  for (const part of document.querySelectorAll("#overview tbody tr, #runs > details")) {
    part.hidden = !part.textContent.toLowerCase().includes(wanted);
  }
});

function openAll(open) {
  for (const part of document.querySelectorAll("details")) part.open = open;
}
document.getElementById("open-all")?.addEventListener("click", (event) => {
  const open = event.currentTarget.getAttribute("aria-pressed") !== "true";
  event.currentTarget.setAttribute("aria-pressed", String(open));
  openAll(open);
});
window.addEventListener("beforeprint", () => openAll(true));

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
window.addEventListener("hashchange", openTarget);
openTarget();

for (const part of document.querySelectorAll("[data-needs-script]")) part.hidden = false;
for (const place of document.querySelectorAll(".plot")) draw(place);
