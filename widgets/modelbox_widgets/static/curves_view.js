// Curves of metrics, a small plot each: point at one, click it, or draw a box through which the runs go.

import { attribute, h, numberText, powerTicks, roundTicks, svg } from "./dom.js";
import { doubles } from "./kernel.js";
import { dim } from "./parallel_view.js";
import { integers } from "./runs_data.js";

/**
 * @typedef {Object} CurveEvents
 * @property {(rows: readonly number[]) => void} box
 * @property {(row: number | undefined, event?: PointerEvent) => void} hover
 * @property {(row: number, event: MouseEvent) => void} pick
 */

const PLOT = { height: 170, left: 52, right: 8, top: 6, bottom: 20 };
const LEAST_WIDTH = 250;
const NEAR_PX = 10;
const WIDE_CURVE = 1000;

/** The curves of one metric. */
export class Curves {
  /** @param {any} sent one entry of the trait `_curves` */
  constructor(sent) {
    this.label = String(sent.key);
    /** @type {string | null} */
    this.mode = sent.mode;
    this.rows = integers(sent.rows);
    this.ends = integers(sent.ends);
    this.steps = doubles(sent.steps);
    this.values = doubles(sent.values);
    const known = this.values.filter((value) => Number.isFinite(value));
    this.low = known.reduce((low, value) => Math.min(low, value), Infinity);
    this.high = known.reduce((high, value) => Math.max(high, value), -Infinity);
    this.first = this.steps.reduce((low, step) => Math.min(low, step), Infinity);
    this.last = this.steps.reduce((high, step) => Math.max(high, step), -Infinity);
    this.isLog = this.low > 0 && this.high / this.low >= WIDE_CURVE;
    this.isEmpty = this.low > this.high;
  }

  /** @param {number} i which of its runs */
  stretch(i) {
    return [i > 0 ? (this.ends[i - 1] ?? 0) : 0, this.ends[i] ?? 0];
  }

  /** @param {number} value */
  heightOf(value) {
    const place = this.isLog ? Math.log : (/** @type {number} */ x) => x / 2;
    return (place(value) - place(this.low)) / (place(this.high) - place(this.low) || 1);
  }
}

/**
 * Whether the line between two points meets a box.
 *
 * @param {readonly [number, number]} from
 * @param {readonly [number, number]} to
 * @param {{ left: number, right: number, top: number, bottom: number }} box
 */
export function meets([x1, y1], [x2, y2], { left, right, top, bottom }) {
  let [enter, leave] = [0, 1];
  for (const [start, move, low, high] of [
    [x1, x2 - x1, left, right],
    [y1, y2 - y1, top, bottom],
  ]) {
    if (start === undefined || move === undefined || low === undefined || high === undefined) continue;
    if (move === 0) {
      if (start < low || start > high) return false;
    } else {
      const [a, b] = [(low - start) / move, (high - start) / move];
      enter = Math.max(enter, Math.min(a, b));
      leave = Math.min(leave, Math.max(a, b));
    }
  }
  return enter <= leave;
}

/** All plots. */
export class CurvesView {
  /** @param {CurveEvents} events */
  constructor(events) {
    this.events = events;
    /** @type {readonly Curves[]} */
    this.curves = [];
    /** @type {readonly string[]} */
    this.colours = [];
    this.width = 0;
    /** @type {ReadonlySet<number>} */
    this.selected = new Set();
    /** @type {{ place: { x(step: number): number, y(value: number): number }, curves: Curves, paths: Map<number, SVGPathElement>, hot: SVGPathElement }[]} */
    this.plots = [];
    this.node = h("div", { class: "mbw-curves" });
    this.resizes = new ResizeObserver(() => {
      if (this.node.clientWidth > 0 && this.node.clientWidth !== this.width) this.draw();
    });
    this.resizes.observe(this.node);
  }

  stop() {
    this.resizes.disconnect();
  }

  /**
   * @param {readonly Curves[]} curves
   * @param {readonly string[]} colours
   */
  show(curves, colours) {
    this.curves = curves.filter((one) => !one.isEmpty);
    this.colours = colours;
    this.node.hidden = this.curves.length === 0;
    this.draw();
  }

  /** @param {ReadonlySet<number>} selected */
  mark(selected) {
    this.selected = selected;
    for (const { paths } of this.plots) {
      for (const [row, path] of paths) dim(path, selected.size > 0 && !selected.has(row));
    }
  }

  /** @param {number | undefined} row */
  heat(row) {
    for (const { paths, hot } of this.plots) {
      const path = row === undefined ? undefined : paths.get(row);
      attribute(hot, { d: path?.getAttribute("d") ?? "", stroke: path?.getAttribute("stroke") ?? "none" });
    }
  }

  draw() {
    this.width = this.node.clientWidth || 800;
    const perLine = Math.max(1, Math.min(this.curves.length, Math.floor(this.width / LEAST_WIDTH), 4));
    const width = Math.floor((this.width - (perLine - 1) * 14) / perLine);
    this.plots = [];
    this.node.replaceChildren(...this.curves.map((curves) => this.plotOf(curves, width)));
    this.mark(this.selected);
  }

  /**
   * @param {Curves} curves
   * @param {number} width
   */
  plotOf(curves, width) {
    const { height, left, right, top, bottom } = PLOT;
    const place = {
      x: (/** @type {number} */ step) => left + ((step - curves.first) / (curves.last - curves.first || 1)) * (width - left - right),
      y: (/** @type {number} */ value) => height - bottom - curves.heightOf(value) * (height - top - bottom),
    };
    const frame = svg("g", { class: "mbw-frame" });
    for (const value of curves.isLog ? powerTicks(curves.low, curves.high) : roundTicks(curves.low, curves.high)) {
      const y = place.y(value);
      frame.append(svg("line", { x1: left, x2: width - right, y1: y, y2: y }));
      frame.append(svg("text", { class: "mbw-tick", x: left - 5, y: y + 3.5, "text-anchor": "end" }, numberText(Number(value.toPrecision(3)))));
    }
    frame.append(svg("text", { class: "mbw-tick", x: left, y: height - 5 }, numberText(curves.first)));
    frame.append(svg("text", { class: "mbw-tick", x: width - right, y: height - 5, "text-anchor": "end" }, numberText(curves.last)));
    frame.append(svg("text", { class: "mbw-tick", x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, "step"));
    const lines = svg("g", { class: "mbw-lines" });
    attribute(lines, { "data-many": curves.rows.length > 60 });
    /** @type {Map<number, SVGPathElement>} */
    const paths = new Map();
    curves.rows.forEach((row, i) => {
      const path = svg("path", { d: this.pathOf(curves, i, place), fill: "none", stroke: this.colours[row] });
      paths.set(row, path);
      lines.append(path);
    });
    const hot = svg("path", { class: "mbw-hot", fill: "none" });
    const box = svg("rect", { class: "mbw-box", visibility: "hidden" });
    const drawing = svg("svg", { width, height, role: "img", "aria-label": `${curves.label} of ${curves.rows.length} runs` }, frame, lines, hot, box);
    const plot = { place, curves, paths, hot };
    this.plots.push(plot);
    drawing.addEventListener("pointermove", (event) => this.events.hover(this.rowAt(plot, drawing, event), event));
    drawing.addEventListener("pointerleave", () => this.events.hover(undefined));
    drawing.addEventListener("pointerdown", (event) => this.startBox(event, plot, drawing, box));
    const arrow = curves.mode === "min" ? " ↓" : curves.mode === "max" ? " ↑" : "";
    return h("figure", {}, h("figcaption", { title: curves.label }, `${curves.label}${arrow}`), drawing);
  }

  /**
   * @param {Curves} curves
   * @param {number} i
   * @param {{ x(step: number): number, y(value: number): number }} place
   */
  pathOf(curves, i, place) {
    const [from = 0, to = 0] = curves.stretch(i);
    let path = "";
    let pen = "M";
    for (let at = from; at < to; at++) {
      const value = curves.values[at] ?? NaN;
      if (Number.isFinite(value)) {
        path += `${pen}${place.x(curves.steps[at] ?? 0).toFixed(1)},${place.y(value).toFixed(1)}`;
        pen = "L";
      } else {
        pen = "M";
      }
    }
    // A run of a single point is a dot: a line of no length with a round cap.
    return path && !path.includes("L") ? `${path}h0.01` : path;
  }

  /**
   * @param {(typeof this.plots)[number]} plot
   * @param {SVGSVGElement} drawing
   * @param {MouseEvent} event
   */
  rowAt({ place, curves }, drawing, event) {
    const corner = drawing.getBoundingClientRect();
    const [x, y] = [event.clientX - corner.left, event.clientY - corner.top];
    const around = { left: x - NEAR_PX, right: x + NEAR_PX, top: y - NEAR_PX, bottom: y + NEAR_PX };
    let best;
    let distance = Infinity;
    this.eachLine({ place, curves }, (row, from, to) => {
      if (!meets(from, to, around)) return;
      const share = to[0] === from[0] ? 0 : Math.max(0, Math.min((x - from[0]) / (to[0] - from[0]), 1));
      const away = Math.abs(from[1] + share * (to[1] - from[1]) - y);
      if (away < distance) [best, distance] = [row, away];
    });
    return best;
  }

  /**
   * @param {{ place: { x(step: number): number, y(value: number): number }, curves: Curves }} plot
   * @param {(row: number, from: readonly [number, number], to: readonly [number, number]) => void} visit
   */
  eachLine({ place, curves }, visit) {
    curves.rows.forEach((row, i) => {
      const [from = 0, to = 0] = curves.stretch(i);
      /** @type {readonly [number, number] | undefined} */
      let before;
      for (let at = from; at < to; at++) {
        const value = curves.values[at] ?? NaN;
        /** @type {readonly [number, number] | undefined} */
        const point = Number.isFinite(value) ? [place.x(curves.steps[at] ?? 0), place.y(value)] : undefined;
        if (point && (before || to - from === 1)) visit(row, before ?? point, point);
        before = point;
      }
    });
  }

  /**
   * @param {PointerEvent} event
   * @param {(typeof this.plots)[number]} plot
   * @param {SVGSVGElement} drawing
   * @param {SVGRectElement} shown
   */
  startBox(event, plot, drawing, shown) {
    event.preventDefault();
    const corner = drawing.getBoundingClientRect();
    const [x, y] = [event.clientX - corner.left, event.clientY - corner.top];
    /** @type {{ left: number, right: number, top: number, bottom: number } | undefined} */
    let box;
    /** @param {PointerEvent} move */
    const onMove = (move) => {
      const [x2, y2] = [move.clientX - corner.left, move.clientY - corner.top];
      if (!box && Math.hypot(x2 - x, y2 - y) < 5) return;
      box = { left: Math.min(x, x2), right: Math.max(x, x2), top: Math.min(y, y2), bottom: Math.max(y, y2) };
      attribute(shown, { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, visibility: undefined });
    };
    /** @param {PointerEvent} up */
    const onUp = (up) => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", onUp);
      attribute(shown, { visibility: "hidden" });
      const row = this.rowAt(plot, drawing, up);
      if (box) {
        const [drawn, rows] = [box, /** @type {Set<number>} */ (new Set())];
        this.eachLine(plot, (one, from, to) => meets(from, to, drawn) && rows.add(one));
        this.events.box([...rows]);
      } else if (row !== undefined) {
        this.events.pick(row, up);
      }
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onUp);
  }
}
