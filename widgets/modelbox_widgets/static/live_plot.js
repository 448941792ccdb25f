// One metric of a live chart: its canvas, and what pointer, wheel and keys do there.

import { h, numberText } from "./dom.js";
import { MARGIN, paint } from "./paint.js";
import { at, indicesWithin, lowerBound, moved, nearestIndex } from "./plot.js";

/** @typedef {import("./paint.js").Curve} Curve */
/** @typedef {import("./paint.js").Look} Look */
/** @typedef {readonly [number, number]} Window */
/**
 * What a plot needs of the chart that it is part of; all plots of a chart show the same window.
 *
 * @typedef {object} Chart
 * @property {(key: string) => readonly Curve[]} curves
 * @property {() => Window} window
 * @property {() => Window} bounds
 * @property {(window: Window | null) => void} show
 * @property {(center: number, factor: number) => void} zoom
 * @property {(plot: Plot, at: number | undefined) => void} hover
 * @property {(text: string) => void} say
 * @property {(at: number) => string} xText
 * @property {(width: number, height: number) => Look} look
 * @property {() => void} redraw
 */

const HELP =
  "Drag to zoom, Shift and drag to move, double-click for everything. With the plot in focus the wheel, plus and minus zoom, arrows move, Shift and arrows read values, 0 shows everything.";
const MAX_TIP_ROWS = 12;
const READING_STOPS = 60;
const LEAST_DRAG_PX = 4;

/** A metric. */
export class Plot {
  /** @param {Chart} chart @param {string} key */
  constructor(chart, key) {
    this.chart = chart;
    this.key = key;
    /** @type {number | undefined} */
    this.at = undefined;
    /** @type {{ readonly x: number, readonly isMove: boolean, readonly window: Window } | undefined} */
    this.drag = undefined;
    this.canvas = h("canvas", { tabindex: 0, role: "img" });
    this.cursor = h("div", { class: "mbl-cursor", hidden: true });
    this.band = h("div", { class: "mbl-band", hidden: true });
    this.tip = h("div", { class: "mbl-tip", hidden: true });
    const enlarge = h("button", { type: "button", class: "mbl-enlarge", title: "Larger or smaller", "aria-label": `${key}: larger or smaller`, click: () => this.enlarge() }, "⤢");
    this.figure = h(
      "figure",
      { class: "mbl-plot" },
      h("div", { class: "mbl-head" }, h("figcaption", { title: key }, key), enlarge),
      h("div", { class: "mbl-frame" }, this.canvas, this.band, this.cursor, this.tip),
    );
    this.listen();
  }

  enlarge() {
    this.figure.classList.toggle("mbl-large");
    this.chart.redraw();
  }

  listen() {
    const { canvas, chart } = this;
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => this.onUp(event));
    canvas.addEventListener("pointercancel", () => this.endDrag());
    canvas.addEventListener("pointerleave", () => chart.hover(this, undefined));
    canvas.addEventListener("blur", () => chart.hover(this, undefined));
    canvas.addEventListener("dblclick", () => chart.show(null));
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (this.onKey(event)) {
        event.preventDefault();
        event.stopPropagation(); // a notebook has ideas of its own about these keys
      }
    });
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    if (event.button !== 0) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { x: event.offsetX, isMove: event.shiftKey, window: this.chart.window() };
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (!this.drag) {
      this.chart.hover(this, this.valueAt(event.offsetX));
    } else if (this.drag.isMove) {
      const [low, high] = this.drag.window;
      const delta = ((this.drag.x - event.offsetX) * (high - low)) / this.innerWidth();
      this.chart.show(moved(this.drag.window, delta, this.chart.bounds()));
    } else {
      this.showBand(this.drag.x, event.offsetX);
    }
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    const { drag } = this;
    this.endDrag();
    if (drag && !drag.isMove && Math.abs(event.offsetX - drag.x) > LEAST_DRAG_PX) {
      const [a, b] = [this.valueAt(drag.x), this.valueAt(event.offsetX)];
      this.chart.show([Math.min(a, b), Math.max(a, b)]);
    }
  }

  endDrag() {
    this.drag = undefined;
    this.band.hidden = true;
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    // A page is scrolled over its charts: only the one in focus takes the wheel for itself.
    if (!this.canvas.matches(":focus") && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.chart.zoom(this.valueAt(event.offsetX), event.deltaY > 0 ? 1.25 : 0.8);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { chart } = this;
    const [low, high] = chart.window();
    const sign = event.key === "ArrowLeft" ? -1 : 1;
    switch (event.key) {
      case "+":
      case "=":
      case "-":
        chart.zoom(this.at ?? (low + high) / 2, event.key === "-" ? 1 / 0.6 : 0.6);
        return true;
      case "0":
      case "Home":
        chart.show(null);
        return true;
      case "Escape":
        chart.hover(this, undefined);
        return true;
      case "ArrowLeft":
      case "ArrowRight":
        if (event.shiftKey) this.readOn(sign);
        else chart.show(moved([low, high], (sign * (high - low)) / 5, chart.bounds()));
        return true;
      default:
        return false;
    }
  }

  /** Move the cursor on to points of the lines, and say what is there. @param {number} sign */
  readOn(sign) {
    const window = this.chart.window();
    const from = this.at ?? (sign > 0 ? -Infinity : Infinity);
    /** @type {number | undefined} */
    let best;
    for (const { x } of this.chart.curves(this.key)) {
      const [begin, end] = indicesWithin(x, window);
      const stride = Math.max(1, Math.floor((end - begin) / READING_STOPS)); // nobody listens to thousands of points
      const here = Math.min(Math.max(lowerBound(x, from), begin), end - 1);
      const next = this.at === undefined ? (sign > 0 ? begin : end - 1) : here + sign * stride;
      const found = at(x, Math.min(Math.max(next, 0), x.length - 1));
      const isFurther = (found - from) * sign > 0 && found >= window[0] && found <= window[1];
      if (isFurther && (best === undefined || (best - found) * sign > 0)) best = found;
    }
    if (best === undefined) return;
    this.chart.hover(this, best);
    const values = this.rows(best).map(({ curve, y }) => `${curve.label} ${numberText(y)}`);
    this.chart.say(`${this.chart.xText(best)}: ${values.join(", ")}`);
  }

  /** How wide the part is that has lines. */
  innerWidth() {
    return Math.max(1, this.canvas.clientWidth - MARGIN.left - MARGIN.right);
  }

  /** @param {number} pixel */
  valueAt(pixel) {
    const [low, high] = this.chart.window();
    return low + (Math.min(Math.max(pixel - MARGIN.left, 0), this.innerWidth()) / this.innerWidth()) * (high - low);
  }

  /** @param {number} a @param {number} b */
  showBand(a, b) {
    const within = (/** @type {number} */ pixel) => Math.min(Math.max(pixel, MARGIN.left), MARGIN.left + this.innerWidth());
    const [from, to] = [within(Math.min(a, b)), within(Math.max(a, b))];
    this.band.hidden = false;
    Object.assign(this.band.style, { left: `${from}px`, width: `${to - from}px`, top: `${MARGIN.top}px`, bottom: `${MARGIN.bottom}px` });
  }

  /** What the lines say near x, greatest first. @param {number} x */
  rows(x) {
    const [low, high] = this.chart.window();
    const rows = this.chart.curves(this.key).flatMap((curve) => {
      const i = nearestIndex(curve.x, x);
      return i >= 0 && Math.abs(at(curve.x, i) - x) <= (high - low) / 4 ? [{ curve, y: at(curve.y, i) }] : [];
    });
    const rank = (/** @type {number} */ y) => (Number.isNaN(y) ? -Infinity : y);
    return rows.sort((a, b) => (rank(a.y) === rank(b.y) ? 0 : rank(b.y) - rank(a.y)));
  }

  /** @param {number | undefined} x @param {boolean} isHere */
  showCursor(x, isHere) {
    this.at = x;
    const [low, high] = this.chart.window();
    if (x === undefined || x < low || x > high) {
      this.cursor.hidden = true;
      this.tip.hidden = true;
      return;
    }
    const pixel = MARGIN.left + ((x - low) / (high - low || 1)) * this.innerWidth();
    this.cursor.hidden = false;
    Object.assign(this.cursor.style, { left: `${pixel}px`, top: `${MARGIN.top}px`, bottom: `${MARGIN.bottom}px` });
    this.tip.hidden = !isHere;
    if (isHere) this.showTip(x, pixel);
  }

  /** @param {number} x @param {number} pixel */
  showTip(x, pixel) {
    const rows = this.rows(x);
    const lines = rows
      .slice(0, MAX_TIP_ROWS)
      .map(({ curve, y }) =>
        h("div", { class: "mbl-tip-row" }, h("i", { style: `background: ${curve.colour}` }), h("span", {}, curve.label), h("b", {}, numberText(y))),
      );
    if (rows.length > MAX_TIP_ROWS) lines.push(h("div", { class: "mbw-dim" }, `… and ${rows.length - MAX_TIP_ROWS} more`));
    this.tip.replaceChildren(h("div", { class: "mbw-dim" }, this.chart.xText(x)), ...lines);
    this.tip.hidden = rows.length === 0;
    const width = this.canvas.clientWidth;
    Object.assign(this.tip.style, pixel > width / 2 ? { left: "", right: `${width - pixel + 12}px` } : { left: `${pixel + 12}px`, right: "" });
  }

  draw() {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const pen = canvas.getContext("2d");
    if (width === 0 || height === 0 || !pen) return;
    const ratio = globalThis.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    pen.scale(ratio, ratio);
    canvas.dataset.points = String(paint(pen, this.chart.curves(this.key), this.chart.look(width, height)));
    canvas.setAttribute("aria-label", this.description());
    if (this.at !== undefined) this.showCursor(this.at, !this.tip.hidden);
  }

  description() {
    const curves = this.chart.curves(this.key);
    const last = curves.slice(0, 10).map(({ label, y }) => `${label} ${numberText(at(y, y.length - 1))}`);
    return `${this.key}: ${curves.length} ${curves.length === 1 ? "line" : "lines"}; last values ${last.join(", ") || "none"}. ${HELP}`;
  }
}
