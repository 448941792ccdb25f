// The menu that saves what a widget shows: as a picture, a page, a table.

import { h } from "./dom.js";

/** @typedef {() => Promise<Blob | undefined> | Blob | undefined} Maker */

/**
 * A button with a menu of things to save, operable by keyboard.
 *
 * @param {string} fileName without its extension
 * @param {Readonly<Record<string, Maker>>} makers what to save, by extension; "png" and "svg" come from `pictureMakers`
 * @param {(text: string) => void} say
 * @returns {HTMLElement}
 */
export function exportMenu(fileName, makers, say) {
  const labels = /** @type {Record<string, string>} */ ({
    png: "Picture (PNG)",
    svg: "Drawing (SVG)",
    html: "Page (HTML)",
    csv: "Table (CSV)",
    json: "Specification (JSON)",
  });
  const list = h("div", { class: "mbw-menu-list", role: "menu", hidden: true });
  const button = h("button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false", title: "Save as a file" }, "Export ▾");
  const menu = h("div", { class: "mbw-menu" }, button, list);
  /** @param {boolean} open */
  const show = (open) => {
    list.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) /** @type {HTMLElement | null} */ (list.firstElementChild)?.focus();
  };
  for (const [extension, make] of Object.entries(makers)) {
    const save = async () => {
      show(false);
      button.focus();
      try {
        const blob = await make();
        if (blob) saveFile(blob, `${fileName}.${extension}`);
        say(blob ? `Saved ${fileName}.${extension}` : "There is nothing to save");
      } catch (error) {
        say(error instanceof Error ? error.message : String(error));
      }
    };
    list.append(h("button", { type: "button", role: "menuitem", tabindex: -1, click: save }, labels[extension] ?? extension));
  }
  button.addEventListener("click", () => show(list.hidden));
  menu.addEventListener("keydown", (event) => {
    const items = /** @type {HTMLElement[]} */ ([...list.children]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" && !list.hidden) {
      show(false);
      button.focus();
    } else if (next !== undefined && !list.hidden) {
      items[next % items.length]?.focus();
    } else if (event.key === "ArrowDown") {
      show(true);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) show(false);
  });
  return menu;
}

/**
 * Hand a file to the browser.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function saveFile(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** @param {string} text @param {string} type */
export function textFile(text, type) {
  return new Blob([text], { type: `${type};charset=utf-8` });
}

/**
 * Makers of a drawing as SVG and as PNG.
 *
 * @param {() => SVGSVGElement | null} find
 * @returns {{ png: Maker, svg: Maker }}
 */
export function pictureMakers(find) {
  return {
    png: async () => {
      const drawing = find();
      return drawing ? pngOf(standalone(drawing), drawing) : undefined;
    },
    svg: () => {
      const drawing = find();
      return drawing ? textFile(standalone(drawing), "image/svg+xml") : undefined;
    },
  };
}

const STYLED = [
  ...["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin"],
  ...["paint-order", "opacity", "display", "visibility", "font-family", "font-size", "font-weight", "text-anchor"],
];

/**
 * An SVG that looks the same outside of the page: style sheets become attributes.
 *
 * @param {SVGSVGElement} drawing
 * @returns {string}
 */
function standalone(drawing) {
  const copy = /** @type {SVGSVGElement} */ (drawing.cloneNode(true));
  const sources = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    const source = sources[i];
    if (!source) return;
    const style = getComputedStyle(source);
    for (const name of STYLED) node.setAttribute(name, style.getPropertyValue(name));
  });
  const { width, height } = drawing.getBoundingClientRect();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  ground.setAttribute("width", "100%");
  ground.setAttribute("height", "100%");
  ground.setAttribute("fill", groundOf(drawing));
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

/**
 * The colour behind an element.
 *
 * @param {Element | null} element
 * @returns {string}
 */
function groundOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== "transparent" && !/, 0\)$/.test(colour)) return colour;
  }
  return "white";
}

/**
 * @param {string} text
 * @param {SVGSVGElement} drawing
 * @returns {Promise<Blob | undefined>}
 */
async function pngOf(text, drawing) {
  const { width, height } = drawing.getBoundingClientRect();
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await picture.decode();
  const canvas = h("canvas", { width: Math.ceil(width * 2), height: Math.ceil(height * 2) });
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? undefined)));
}

/**
 * One line of a CSV file. Cells that a spreadsheet would take for a formula get an apostrophe before them.
 *
 * @param {readonly string[]} cells
 * @returns {string}
 */
export function csvLine(cells) {
  return cells
    .map((cell) => {
      const safe = /^[=+\-@\t\r]/.test(cell) && !isNumber(cell) ? `'${cell}` : cell;
      return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    })
    .join(",");
}

/** @param {string} text */
function isNumber(text) {
  return text !== "" && !Number.isNaN(Number(text));
}
