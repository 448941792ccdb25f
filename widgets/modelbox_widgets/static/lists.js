// Lists to choose from, tables of pairs, and texts of sizes and times, for widgets that show one of many things closely.

import { attribute, h } from "./dom.js";

/** @typedef {{ readonly id: string, readonly label: string, readonly node: Node, readonly group?: string }} Item */

/** A list of which one item is chosen: arrow keys, Home and End move, the mouse chooses. */
export class ChoiceList {
  /** @param {string} label @param {(id: string) => void} onChoose */
  constructor(label, onChoose) {
    this.onChoose = onChoose;
    /** @type {HTMLElement[]} */
    this.options = [];
    this.chosen = "";
    this.node = h("div", { class: "mbx-list", role: "listbox", "aria-label": label, keydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event) });
  }

  /** @param {readonly Item[]} items @param {string} chosen @param {string} nothing what to say when there is none */
  fill(items, chosen, nothing) {
    const hadFocus = this.node.contains(document.activeElement);
    this.options = items.map(({ id, label, node }) =>
      h("div", { class: "mbx-option", role: "option", "data-id": id, "aria-label": label, title: label, click: () => this.choose(id) }, node),
    );
    /** @type {HTMLElement[]} */
    const rows = [];
    items.forEach(({ group }, i) => {
      if (group !== undefined && group !== items[i - 1]?.group) rows.push(h("div", { class: "mbx-group", role: "presentation" }, group));
      rows.push(/** @type {HTMLElement} */ (this.options[i]));
    });
    this.node.replaceChildren(...(rows.length > 0 ? rows : [h("p", { class: "mbw-dim mbx-nothing" }, nothing)]));
    this.mark(chosen);
    if (hadFocus) this.current()?.focus();
  }

  current() {
    return this.options.find((option) => option.dataset.id === this.chosen) ?? this.options[0];
  }

  /** @param {string} id */
  mark(id) {
    this.chosen = id;
    const current = this.current();
    for (const option of this.options) {
      attribute(option, { "aria-selected": String(option.dataset.id === id), tabindex: option === current ? 0 : -1 });
    }
  }

  /** @param {string} id */
  choose(id) {
    this.mark(id);
    this.onChoose(id);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const at = this.options.findIndex((option) => option === document.activeElement);
    const last = this.options.length - 1;
    const next = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    const option = next === undefined ? undefined : this.options[next];
    if (!option) return;
    event.preventDefault();
    event.stopPropagation();
    option.focus();
    option.scrollIntoView({ block: "nearest" });
    this.choose(option.dataset.id ?? "");
  }
}

/**
 * A table of names and values; undefined when there are none.
 *
 * @param {readonly (readonly [string, string])[]} pairs
 */
export function pairs(pairs) {
  const rows = pairs.map(([name, value]) => h("tr", {}, h("th", { scope: "row", title: name }, name), h("td", {}, value)));
  return h("table", { class: "mbx-pairs" }, h("tbody", {}, ...rows));
}

/**
 * A table with a head.
 *
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function table(head, rows) {
  const cells = rows.map((row) => h("tr", {}, ...row.map((text) => h("td", { title: text }, text))));
  return h("table", { class: "mbx-table" }, h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...cells));
}

/**
 * A part with a heading.
 *
 * @param {string} title
 * @param {...(Node | string)} children
 */
export function section(title, ...children) {
  return h("section", { class: "mbx-section" }, h("h4", {}, title), ...children);
}

/** A size as people read it. @param {number | null | undefined} bytes */
export function sizeText(bytes) {
  if (bytes === null || bytes === undefined) return "size unknown";
  const units = ["B", "kB", "MB", "GB"];
  let [amount, unit] = [bytes, 0];
  while (amount >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${Number(amount.toPrecision(3))} ${units[unit]}`;
}

/** A moment in the time of the page's clock. @param {string} iso */
export function momentText(iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? iso : moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** @param {unknown} error */
export function sentenceOf(error) {
  return error instanceof Error ? error.message : String(error);
}
