// Draws the charts of a report and lets its tables be sorted and searched. Everything that it shows is in the page already.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
const refuse = () => Promise.reject(new Error("A report loads nothing."));

/** @typedef {readonly [kind: number, value: number | string, isEmpty: boolean]} Key What a row is sorted by. */

/**
 * Draw one chart; its expressions run in an interpreter, so that the page may forbid code made from text.
 * @param {HTMLElement} place
 */
function draw(place) {
  const name = place.dataset.spec ?? "";
  const spec = JSON.parse(document.getElementById(name)?.textContent ?? "null");
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    ast: true,
    loader: { load: refuse, sanitize: refuse, http: refuse, file: refuse },
    tooltip: { theme: dark ? "dark" : "light" },
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: name,
  };
  vegaEmbed(place, spec, options).catch(() => {
    const picture = place.parentElement?.querySelector("noscript")?.textContent ?? "";
    place.replaceChildren(document.createRange().createContextualFragment(picture));
  });
}

/**
 * Return what a row is sorted by: a number where its cell shows one, else the text.
 * @param {HTMLTableRowElement} row
 * @param {number} column
 * @returns {Key}
 */
function key(row, column) {
  const text = (row.cells[column]?.textContent ?? "").trim().replace("∞", "Infinity");
  const number = text === "" ? NaN : Number(text);
  return Number.isNaN(number) ? [1, text.toLowerCase(), text === ""] : [0, number, false];
}

/**
 * Compare two keys; empty cells stay at the end, whichever way the column is sorted.
 * @param {Key} one
 * @param {Key} other
 * @param {number} sign 1 upwards, -1 downwards
 */
function compare(one, other, sign) {
  if (one[2] !== other[2]) return one[2] ? 1 : -1;
  if (one[0] !== other[0]) return sign * (one[0] - other[0]);
  return one[1] < other[1] ? -sign : one[1] > other[1] ? sign : 0;
}

/**
 * @param {HTMLTableElement} table
 * @param {number} column
 */
function sortBy(table, column) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  const sign = heads[column]?.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column]?.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...(body?.rows ?? [])].map((row) => /** @type {const} */ ([key(row, column), row]));
  rows.sort(([one], [other]) => compare(one, other, sign));
  body?.append(...rows.map(([, row]) => row));
}

for (const table of /** @type {NodeListOf<HTMLTableElement>} */ (document.querySelectorAll("table.sortable"))) {
  [...(table.tHead?.rows[0]?.cells ?? [])].forEach((cell, column) => {
    const button = document.createElement("button");
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    cell.append(button);
  });
}

const search = document.getElementById("search");
search?.addEventListener("input", () => {
  const wanted = search instanceof HTMLInputElement ? search.value.toLowerCase() : "";
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#overview tbody tr, #runs > details"))) {
    part.hidden = !(part.textContent ?? "").toLowerCase().includes(wanted);
  }
});

/** @param {boolean} open */
function openAll(open) {
  for (const part of document.querySelectorAll("details")) part.open = open;
}
const toggle = document.getElementById("open-all");
toggle?.addEventListener("click", () => {
  const open = toggle.getAttribute("aria-pressed") !== "true";
  toggle.setAttribute("aria-pressed", String(open));
  openAll(open);
});
window.addEventListener("beforeprint", () => openAll(true));

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
window.addEventListener("hashchange", openTarget);
openTarget();

for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-needs-script]"))) part.hidden = false;
for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".plot"))) draw(place);
