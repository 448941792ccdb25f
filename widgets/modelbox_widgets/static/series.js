// The points of a live chart as the browser keeps them: an overview of every series that increments extend, and the detail of what is zoomed
// to. Pure: no page, no widget.

import { doubles } from "./kernel.js";
import { at } from "./plot.js";

/** @typedef {readonly [number, number]} Range */
/** @typedef {{ readonly steps: Float64Array, readonly times: Float64Array, readonly values: Float64Array }} Columns */
/** @typedef {{ readonly run: string, readonly key: string, readonly count?: number }} Head */
/** @typedef {Columns & { readonly run: string, readonly key: string, readonly isWhole: boolean }} Known */
/** @typedef {Columns & { readonly first: number, readonly last: number }} Detail */
/**
 * A series in ascending x; `isWhole` when it has every point, and not only those that are seen from afar.
 *
 * @typedef {{ readonly run: string, readonly key: string, readonly isWhole: boolean, readonly begin: number,
 *             readonly x: Float64Array, readonly y: Float64Array, readonly steps: Float64Array }} Line
 */
/** @typedef {"step" | "time"} Axis */

const EMPTY = new Float64Array();

/** @param {string} run @param {string} key */
function nameOf(run, key) {
  return JSON.stringify([run, key]);
}

/** @param {readonly DataView[]} buffers @param {number} place @returns {Columns} */
function columnsAt(buffers, place) {
  const column = (/** @type {number} */ i) => {
    const buffer = buffers[3 * place + i];
    return buffer ? doubles(buffer) : EMPTY;
  };
  return { steps: column(0), times: column(1), values: column(2) };
}

/** @param {Float64Array} a @param {Float64Array} b */
function concatenated(a, b) {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** @param {Columns} a @param {Columns} b @returns {Columns} */
function joined(a, b) {
  return { steps: concatenated(a.steps, b.steps), times: concatenated(a.times, b.times), values: concatenated(a.values, b.values) };
}

/** @param {Columns} columns @param {readonly number[]} places @returns {Columns} */
function picked(columns, places) {
  const pick = (/** @type {Float64Array} */ column) => Float64Array.from(places, (i) => at(column, i));
  return { steps: pick(columns.steps), times: pick(columns.times), values: pick(columns.values) };
}

/** The same points in the order that `x` gives; the order of equal ones stays. @param {Float64Array} x @param {Columns} columns */
function inOrderOf(x, columns) {
  let isAscending = true;
  for (let i = 1; i < x.length; i++) isAscending &&= at(x, i - 1) <= at(x, i);
  if (isAscending) return { x, y: columns.values, steps: columns.steps };
  const order = [...x.keys()].sort((a, b) => at(x, a) - at(x, b) || a - b);
  const { steps, values } = picked(columns, order);
  return { x: Float64Array.from(order, (i) => at(x, i)), y: values, steps };
}

/** Every series that is known. */
export class Series {
  constructor() {
    this.number = 0;
    /** @type {Map<string, Known>} */
    this.known = new Map();
    /** @type {Map<string, Detail>} */
    this.details = new Map();
    /** @type {Map<string, Line>} */
    this.lines = new Map();
  }

  /**
   * Take over a snapshot of everything.
   *
   * @param {{ readonly number?: number, readonly series?: readonly Head[] }} snapshot
   * @param {readonly DataView[]} buffers three per series: steps, times in ms, values
   */
  replace(snapshot, buffers) {
    this.number = snapshot.number ?? 0;
    this.known = new Map();
    this.lines.clear();
    (snapshot.series ?? []).forEach(({ run, key, count }, i) => {
      const columns = columnsAt(buffers, i);
      this.known.set(nameOf(run, key), { run, key, isWhole: count === columns.values.length, ...columns });
    });
  }

  /**
   * Add an increment; false when one before it is missing.
   *
   * @param {{ readonly number: number, readonly series: readonly Head[] }} increment
   * @param {readonly DataView[]} buffers
   */
  add(increment, buffers) {
    if (increment.number <= this.number) return true;
    if (increment.number !== this.number + 1) return false;
    this.number = increment.number;
    increment.series.forEach(({ run, key }, i) => {
      const name = nameOf(run, key);
      const old = this.known.get(name) ?? { run, key, isWhole: true, steps: EMPTY, times: EMPTY, values: EMPTY };
      this.known.set(name, { ...old, ...joined(old, columnsAt(buffers, i)) });
      this.forget(name);
    });
    return true;
  }

  /**
   * Keep what a range of steps looks like closely.
   *
   * @param {Range} range
   * @param {readonly Head[]} series
   * @param {readonly DataView[]} buffers
   */
  addDetail([first, last], series, buffers) {
    this.forgetDetails();
    series.forEach(({ run, key }, i) => {
      const name = nameOf(run, key);
      this.details.set(name, { first, last, ...columnsAt(buffers, i) });
      this.forget(name);
    });
  }

  /** Go back to the overview. */
  forgetDetails() {
    for (const name of this.details.keys()) this.forget(name);
    this.details.clear();
  }

  /** @param {string} name */
  forget(name) {
    this.lines.delete(`step ${name}`);
    this.lines.delete(`time ${name}`);
  }

  /** The metrics that there are. */
  keys() {
    return [...new Set([...this.known.values()].map((one) => one.key))].sort();
  }

  /** When the first point of a run was logged, in ms. @param {string} run */
  beginOf(run) {
    let begin = Infinity;
    for (const one of this.known.values()) {
      if (one.run === run) begin = Math.min(begin, one.times[0] ?? Infinity);
    }
    return begin;
  }

  /**
   * One series as a line over its steps, or over the seconds since its run's first point; undefined when there is none.
   *
   * @param {string} run
   * @param {string} key
   * @param {Axis} axis
   * @returns {Line | undefined}
   */
  line(run, key, axis) {
    const name = nameOf(run, key);
    const found = this.known.get(name);
    if (!found) return undefined;
    const begin = axis === "time" ? this.beginOf(run) : 0;
    const known = this.lines.get(`${axis} ${name}`);
    if (known?.begin === begin) return known;
    const columns = this.spliced(name, found);
    const x = axis === "time" ? columns.times.map((time) => (time - begin) / 1000) : columns.steps;
    const line = { run, key, begin, isWhole: found.isWhole, ...inOrderOf(x, columns) };
    this.lines.set(`${axis} ${name}`, line);
    return line;
  }

  /** The overview, with the detail in place of the same steps. @param {string} name @param {Columns} overview @returns {Columns} */
  spliced(name, overview) {
    const detail = this.details.get(name);
    if (!detail) return overview;
    const outside = [...overview.steps.keys()].filter((i) => {
      const step = at(overview.steps, i);
      return step < detail.first || step > detail.last;
    });
    const all = joined(picked(overview, outside), detail);
    const order = [...all.steps.keys()].sort((a, b) => at(all.steps, a) - at(all.steps, b) || at(all.times, a) - at(all.times, b) || a - b);
    return picked(all, order);
  }
}

/**
 * The steps that lines show in a window of x and next to it; undefined when every point of them is here already.
 *
 * @param {readonly Line[]} lines
 * @param {Range} window
 * @returns {Range | undefined}
 */
export function stepsToFetch(lines, [low, high]) {
  let [first, last] = [Infinity, -Infinity];
  for (const line of lines) {
    if (line.isWhole) continue;
    line.x.forEach((x, i) => {
      // A point is of interest, too, when its neighbour is on the other side of an edge of the window.
      const [before, after] = [line.x[i - 1] ?? x, line.x[i + 1] ?? x];
      if (after >= low && before <= high) {
        first = Math.min(first, at(line.steps, i));
        last = Math.max(last, at(line.steps, i));
      }
    });
  }
  return first <= last ? [first, last] : undefined;
}
