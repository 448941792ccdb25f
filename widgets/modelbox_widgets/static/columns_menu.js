// Choosing the columns of a table.

import { h } from "./dom.js";

/** @typedef {import("./runs_data.js").Head} Head */

const GROUPS = /** @type {const} */ ([
  ["run", "Run"],
  ["setting", "Settings"],
  ["metric", "Metrics"],
]);

/**
 * A button that opens a list of columns, to search and to tick.
 *
 * @param {string} title
 * @param {() => readonly Head[]} heads
 * @param {() => readonly string[]} shown
 * @param {(names: string[]) => void} choose
 * @returns {HTMLElement}
 */
export function columnsMenu(title, heads, shown, choose) {
  const search = h("input", { type: "search", placeholder: "Find a column", "aria-label": "Find a column" });
  const list = h("div", { class: "mbw-choices-list" });
  const panel = h("div", { class: "mbw-choices", role: "group", "aria-label": title, hidden: true }, search, list);
  const button = h("button", { type: "button", "aria-expanded": "false", title: `Choose ${title.toLowerCase()}` }, `${title} ▾`);
  const menu = h("div", { class: "mbw-menu" }, button, panel);

  const fill = () => {
    const wanted = search.value.toLowerCase();
    const present = new Set(shown());
    list.replaceChildren();
    for (const [group, heading] of GROUPS) {
      const found = heads().filter((head) => head.group === group && head.label.toLowerCase().includes(wanted));
      if (found.length === 0) continue;
      list.append(h("div", { class: "mbw-choices-head mbw-dim" }, heading));
      for (const head of found) {
        const box = h("input", { type: "checkbox", checked: present.has(head.name) });
        box.addEventListener("change", () => {
          const rest = shown().filter((name) => name !== head.name);
          if (box.checked || rest.length > 0) choose(box.checked ? [...rest, head.name] : rest);
          else box.checked = true;
        });
        list.append(h("label", { title: head.name }, box, head.label));
      }
    }
  };
  /** @param {boolean} open */
  const show = (open) => {
    panel.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) {
      search.value = "";
      fill();
      search.focus();
    }
  };
  search.addEventListener("input", fill);
  button.addEventListener("click", () => show(panel.hidden));
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) {
      show(false);
      button.focus();
      event.stopPropagation();
    }
  });
  // A click on a label moves the focus to nothing for a moment: only another element closes the list.
  menu.addEventListener("focusout", (event) => {
    const next = /** @type {Node | null} */ (event.relatedTarget);
    if (next && !menu.contains(next)) show(false);
  });
  return menu;
}
