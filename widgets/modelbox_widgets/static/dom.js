// Elements, and listeners that go with their view. Text only ever becomes text nodes and attributes: what people named is never markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

/** @typedef {Readonly<Record<string, string | number | boolean | ((event: any) => void) | undefined>>} Attributes */

/**
 * Set attributes; a function is a listener, false and undefined remove.
 *
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @returns {E}
 */
export function attribute(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === undefined || value === false) element.removeAttribute(name);
    // A page with a strict policy takes styles from its scripts, not from attributes.
    else if (name === "style" && (element instanceof HTMLElement || element instanceof SVGElement)) element.style.cssText = String(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return element;
}

/**
 * Make an HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const made = attribute(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/**
 * Make an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = attribute(document.createElementNS(SVG_SPACE, tag), attributes);
  made.append(...children);
  return made;
}

/** Things to undo when a view is closed. */
export class Cleanup {
  constructor() {
    /** @type {(() => void)[]} */
    this.steps = [];
  }

  /** @param {() => void} step */
  add(step) {
    this.steps.push(step);
  }

  /**
   * Listen to a model, or to the window.
   *
   * @param {{ on(name: string, listener: any): void, off(name: string, listener: any): void }} source
   * @param {string} name
   * @param {(...values: any[]) => void} listener
   */
  listen(source, name, listener) {
    source.on(name, listener);
    this.add(() => source.off(name, listener));
  }

  run() {
    for (const step of this.steps.splice(0).reverse()) step();
  }
}

/**
 * Make a place whose text screen readers read out whenever it changes.
 *
 * @param {HTMLElement} parent
 * @returns {(text: string) => void}
 */
export function announcer(parent) {
  const place = h("div", { class: "mbw-unseen", role: "status", "aria-live": "polite" });
  parent.append(place);
  return (text) => {
    if (place.textContent !== text) place.textContent = text;
  };
}

/**
 * Call back once per frame, however often it is asked for.
 *
 * @param {() => void} callback
 * @returns {{ soon(): void, stop(): void }}
 */
export function perFrame(callback) {
  let asked = 0;
  return {
    soon() {
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        callback();
      });
    },
    stop() {
      cancelAnimationFrame(asked);
      asked = 0;
    },
  };
}

/**
 * A number as people read it, four digits at most.
 *
 * @param {number} value
 * @returns {string}
 */
export function numberText(value) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(4)));
}

/**
 * Round numbers within a range, some five of them.
 *
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function roundTicks(low, high) {
  const rough = high / 5 - low / 5;
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.min(last - first + 1, 12) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/**
 * Powers of ten within a range of positive numbers, at most seven.
 *
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function powerTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const count = Math.floor(Math.log10(high) + 1e-9) - first + 1;
  const every = Math.ceil(count / 7);
  return Array.from({ length: Math.max(0, count) }, (_, i) => Number(`1e${first + i}`)).filter((_, i) => i % every === 0);
}
