// Parallel coordinates: a line per run, axes to brush and to reorder by pointer and by keyboard.

import { brushedRows, nearestLine, nudged } from "./axes.js";
import { attribute, h, svg } from "./dom.js";

/** @typedef {import("./axes.js").Axis} Axis */
/** @typedef {import("./axes.js").Range} Range */

/**
 * @typedef {Object} ParallelEvents
 * @property {(rows: readonly number[]) => void} brush
 * @property {(row: number | undefined, event?: PointerEvent) => void} hover
 * @property {(row: number, event: MouseEvent) => void} pick
 * @property {(names: string[]) => void} order
 * @property {(text: string) => void} say
 */

const HEIGHT = 300;
const MARGIN = { left: 34, right: 70, top: 40, bottom: 14 };
const MISSING_PX = 24;
const REACH_PX = 9;
const HIT_PX = 13;

/** Parallel coordinates. */
export class ParallelView {
  /** @param {ParallelEvents} events */
  constructor(events) {
    this.events = events;
    /** @type {Axis[]} */
    this.axes = [];
    /** @type {Map<string, Range>} */
    this.brushes = new Map();
    /** @type {readonly string[]} */
    this.colours = [];
    /** @type {SVGPathElement[]} */
    this.paths = [];
    /** @type {Float64Array[]} */
    this.places = [];
    this.rows = 0;
    /** @type {ReadonlySet<number>} */
    this.selected = new Set();
    this.width = 0;
    /** @type {string | undefined} */
    this.focused = undefined;
    this.lines = svg("g", { class: "mbw-lines" });
    this.hot = svg("path", { class: "mbw-hot", fill: "none" });
    this.frame = svg("g");
    this.drawing = svg(
      "svg",
      { class: "mbw-parallel", height: HEIGHT, role: "group", "aria-label": "Parallel coordinates", "data-lm-suppress-shortcuts": "true" },
      this.lines,
      this.hot,
      this.frame,
    );
    this.node = h("div", {}, this.drawing);
    this.drawing.addEventListener("pointermove", (event) => this.events.hover(this.rowAt(event), event));
    this.drawing.addEventListener("pointerleave", () => this.events.hover(undefined));
    this.drawing.addEventListener("click", (event) => {
      const row = this.rowAt(event);
      if (row !== undefined && !(/** @type {Element} */ (event.target).closest(".mbw-axis"))) this.events.pick(row, event);
    });
    this.resizes = new ResizeObserver(() => {
      if (this.node.clientWidth > 0 && this.node.clientWidth !== this.width) this.draw();
    });
    this.resizes.observe(this.node);
  }

  stop() {
    this.resizes.disconnect();
  }

  /**
   * @param {Axis[]} axes
   * @param {number} rows
   * @param {readonly string[]} colours
   */
  show(axes, rows, colours) {
    this.axes = axes;
    this.rows = rows;
    this.colours = colours;
    for (const name of this.brushes.keys()) {
      if (!axes.some((axis) => axis.name === name)) this.brushes.delete(name);
    }
    this.draw();
  }

  clearBrushes() {
    if (this.brushes.size === 0) return;
    this.brushes.clear();
    this.drawAxes();
  }

  /**
   * @param {ReadonlySet<number>} selected
   */
  mark(selected) {
    this.selected = selected;
    this.paths.forEach((path, row) => dim(path, selected.size > 0 && !selected.has(row)));
  }

  /** @param {number | undefined} row */
  heat(row) {
    const path = row === undefined ? undefined : this.paths[row];
    attribute(this.hot, { d: path?.getAttribute("d") ?? "", stroke: path?.getAttribute("stroke") ?? "none" });
  }

  /** @param {number} i */
  x(i) {
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + (this.axes.length > 1 ? (i / (this.axes.length - 1)) * room : room / 2);
  }

  get bottom() {
    return HEIGHT - MARGIN.bottom - MISSING_PX;
  }

  /** @param {number} share */
  y(share) {
    return this.bottom - share * (this.bottom - MARGIN.top);
  }

  /** @param {MouseEvent} event */
  shareAt(event) {
    const y = event.clientY - this.drawing.getBoundingClientRect().top;
    return Math.max(0, Math.min((this.bottom - y) / (this.bottom - MARGIN.top), 1));
  }

  draw() {
    this.width = this.node.clientWidth || 800;
    attribute(this.drawing, { width: this.width, viewBox: `0 0 ${this.width} ${HEIGHT}` });
    const missing = this.bottom + MISSING_PX - 6;
    this.places = this.axes.map((axis) => axis.shares.map((share) => (Number.isNaN(share) ? missing : this.y(share))));
    this.paths = Array.from({ length: this.rows }, (_, row) => {
      const points = this.places.map((place, i) => `${this.x(i).toFixed(1)},${(place[row] ?? 0).toFixed(1)}`);
      return svg("path", { d: `M${points.join("L")}`, fill: "none", stroke: this.colours[row] });
    });
    this.lines.replaceChildren(...this.paths);
    this.mark(this.selected);
    attribute(this.lines, { "data-many": this.rows > 60 });
    this.drawAxes();
  }

  drawAxes() {
    const gap = this.axes.length > 1 ? this.x(1) - this.x(0) : 200;
    this.frame.replaceChildren(...this.axes.map((axis, i) => this.axisOf(axis, i, gap)));
    const focused = this.axes.findIndex((axis) => axis.name === this.focused);
    if (focused >= 0) /** @type {SVGElement | undefined} */ (this.frame.children[focused])?.focus();
  }

  /**
   * @param {Axis} axis
   * @param {number} i
   * @param {number} gap
   */
  axisOf(axis, i, gap) {
    const { label, mode } = axis.column.head;
    const brush = this.brushes.get(axis.name);
    const group = svg("g", {
      class: "mbw-axis",
      transform: `translate(${this.x(i)},0)`,
      tabindex: 0,
      role: "slider",
      "aria-orientation": "vertical",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 1,
      "aria-valuenow": brush ? brush[1] : 1,
      "aria-valuetext": brush ? axis.rangeText(brush) : "all",
      keydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event, axis, i),
      focus: () => (this.focused = axis.name),
      blur: () => (this.focused = undefined),
    });
    // The first name may be longer than there is room to the left of its axis.
    const isFirst = i === 0 && label.length > 10;
    const where = isFirst ? { x: 2 - this.x(0), "text-anchor": "start" } : { "text-anchor": "middle" };
    const name = svg("text", { class: "mbw-axis-name", y: 14, ...where }, shortened(label, Math.max(6, Math.floor((gap - 6) / 6.6))));
    name.append(svg("title", {}, `${axis.name}${mode ? `: ${mode === "min" ? "smaller" : "greater"} is better, and above` : ""}. Drag to reorder.`));
    name.addEventListener("pointerdown", (event) => this.startReorder(event, axis));
    const aim = svg("text", { class: "mbw-axis-aim", y: 28, "text-anchor": "middle" }, mode === "min" ? "▲ smaller" : mode === "max" ? "▲ greater" : "");
    const rule = svg("line", { y1: this.y(1), y2: this.y(0) });
    const ticks = axis.ticks().map(({ share, text }) =>
      svg("text", { class: "mbw-tick", x: 6, y: this.y(share) + 3.5 }, shortened(text, Math.max(4, Math.floor((Math.min(gap, 110) - 10) / 6)))),
    );
    if (axis.hasMissing) ticks.push(svg("text", { class: "mbw-tick", x: 6, y: this.bottom + MISSING_PX - 2.5 }, "none"));
    const hit = svg("rect", { class: "mbw-hit", x: -HIT_PX, width: 2 * HIT_PX, y: MARGIN.top - 6, height: this.bottom - MARGIN.top + 12 });
    hit.addEventListener("pointerdown", (event) => this.startBrush(event, axis, group));
    const shown = svg("rect", { class: "mbw-brush", x: -6, width: 12, rx: 3 });
    group.append(rule, ...ticks, name, aim, shown, hit);
    this.placeBrush(group, brush);
    return group;
  }

  /**
   * @param {Element} group
   * @param {Range | undefined} brush
   */
  placeBrush(group, brush) {
    const shown = group.querySelector(".mbw-brush");
    if (!shown) return;
    attribute(shown, brush ? { y: this.y(brush[1]) - 1, height: this.y(brush[0]) - this.y(brush[1]) + 2, visibility: undefined } : { visibility: "hidden", height: 0 });
  }

  // --- brushes ---------------------------------------------------------------------------------------------------------------------------

  /**
   * @param {Axis} axis
   * @param {Range | undefined} range
   */
  brush(axis, range) {
    if (range && range[0] <= 0 && range[1] >= 1) range = undefined;
    if (range) this.brushes.set(axis.name, range);
    else this.brushes.delete(axis.name);
    const rows = this.brushes.size > 0 ? brushedRows(this.axes, this.brushes, this.rows) : [];
    this.events.brush(rows);
    return rows;
  }

  /**
   * @param {PointerEvent} event
   * @param {Axis} axis
   * @param {SVGGElement} group
   */
  startBrush(event, axis, group) {
    event.preventDefault();
    group.focus();
    const from = this.shareAt(event);
    const old = this.brushes.get(axis.name);
    const near = 7 / (this.bottom - MARGIN.top);
    /** @type {(to: number) => Range} */
    let make = (to) => [Math.min(from, to), Math.max(from, to)];
    if (old && Math.abs(from - old[0]) < near) make = (to) => [Math.min(to, old[1]), Math.max(to, old[1])];
    else if (old && Math.abs(from - old[1]) < near) make = (to) => [Math.min(to, old[0]), Math.max(to, old[0])];
    else if (old && from > old[0] && from < old[1]) {
      make = (to) => {
        const by = Math.max(-old[0], Math.min(to - from, 1 - old[1]));
        return [old[0] + by, old[1] + by];
      };
    }
    let hasMoved = false;
    /** @param {PointerEvent} move */
    const onMove = (move) => {
      hasMoved ||= Math.abs(move.clientY - event.clientY) > 3;
      if (!hasMoved) return;
      const range = make(this.shareAt(move));
      this.brush(axis, range);
      this.placeBrush(group, range);
    };
    const onUp = () => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", onUp);
      // A click clears the brush of an axis; where there is none it takes the value that was clicked.
      if (!hasMoved) this.brush(axis, old || !axis.isText ? undefined : [Math.max(0, from - 0.5 / axis.steps), Math.min(1, from + 0.5 / axis.steps)]);
      this.drawAxes();
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onUp);
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Axis} axis
   * @param {number} i
   */
  onKey(event, axis, i) {
    const { key } = event;
    const { say } = this.events;
    if (key === "ArrowUp" || key === "ArrowDown") {
      const rows = this.brush(axis, nudged(this.brushes.get(axis.name), key, event, axis.steps));
      const range = this.brushes.get(axis.name);
      say(`${axis.column.head.label}: ${range ? `${axis.rangeText(range)}, ${rows.length} runs` : "all"}`);
      this.drawAxes();
    } else if (key === "Escape" || key === "Delete" || key === "Backspace") {
      this.brush(axis, undefined);
      say(`${axis.column.head.label}: all`);
      this.drawAxes();
    } else if (key === "ArrowLeft" || key === "ArrowRight") {
      const to = i + (key === "ArrowRight" ? 1 : -1);
      if (to < 0 || to >= this.axes.length) return;
      if (event.altKey || event.ctrlKey || event.metaKey) this.move(axis, to);
      else /** @type {SVGElement | undefined} */ (this.frame.children[to])?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // --- order -----------------------------------------------------------------------------------------------------------------------------

  /**
   * @param {Axis} axis
   * @param {number} to
   */
  move(axis, to) {
    const names = this.axes.map(({ name }) => name).filter((name) => name !== axis.name);
    names.splice(to, 0, axis.name);
    this.focused = axis.name;
    this.events.order(names);
    this.events.say(`${axis.column.head.label} is axis ${to + 1} of ${this.axes.length}`);
  }

  /**
   * @param {PointerEvent} event
   * @param {Axis} axis
   */
  startReorder(event, axis) {
    event.preventDefault();
    const left = this.drawing.getBoundingClientRect().left;
    /** @param {PointerEvent} move */
    const onMove = (move) => {
      const from = this.axes.indexOf(axis);
      const gap = this.axes.length > 1 ? this.x(1) - this.x(0) : 1;
      const to = Math.max(0, Math.min(Math.round((move.clientX - left - MARGIN.left) / gap), this.axes.length - 1));
      if (to === from) return;
      this.axes.splice(to, 0, ...this.axes.splice(from, 1));
      this.draw();
    };
    const onUp = () => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", onUp);
      this.events.order(this.axes.map(({ name }) => name));
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", onUp);
  }

  /** @param {MouseEvent} event */
  rowAt(event) {
    if (this.axes.length < 2) return undefined;
    const box = this.drawing.getBoundingClientRect();
    const at = (event.clientX - box.left - MARGIN.left) / (this.x(1) - this.x(0));
    const i = Math.max(0, Math.min(Math.floor(at), this.axes.length - 2));
    const [left, right] = [this.places[i], this.places[i + 1]];
    return left && right && at > -0.05 && at < this.axes.length - 0.95 ? nearestLine(left, right, at - i, event.clientY - box.top, REACH_PX) : undefined;
  }
}

/**
 * A text with its middle left out, where names that begin alike differ least.
 *
 * @param {string} text
 * @param {number} limit
 */
export function shortened(text, limit) {
  if (text.length <= limit) return text;
  const tail = Math.floor((limit - 1) / 2);
  return `${text.slice(0, limit - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/**
 * Show a line as one of the others, or bring it before them.
 *
 * @param {SVGPathElement} path
 * @param {boolean} isOff
 */
export function dim(path, isOff) {
  if (path.classList.contains("mbw-off") === isOff) return;
  path.classList.toggle("mbw-off", isOff);
  if (!isOff) path.parentElement?.append(path);
}
