// Axes of parallel coordinates: where values lie between 0 (bottom) and 1 (top), and which rows a brush takes. Up is better, where one is.

import { numberText, powerTicks, roundTicks } from "./dom.js";

/** @typedef {import("./runs_data.js").Column} Column */
/** @typedef {readonly [number, number]} Range a stretch of an axis, from below to above */

const WIDE = 100;
const FEW = 6;
const LEAST_GAP = 0.06;

/** One column as an axis. */
export class Axis {
  /**
   * @param {Column} column
   * @param {number} rows
   */
  constructor(column, rows) {
    this.column = column;
    this.name = column.head.name;
    this.isFlipped = column.head.mode === "min";
    const keys = column.sortKeys();
    let low = Infinity;
    let high = -Infinity;
    for (let row = 0; row < rows; row++) {
      const value = keys[row] ?? NaN;
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    this.low = low <= high ? low : 0;
    this.high = low <= high ? high : 1;
    this.isText = column.codes !== undefined;
    this.isLog = !this.isText && column.head.kind !== "time" && this.low > 0 && this.high / this.low >= WIDE;
    this.shares = Float64Array.from({ length: rows }, (_, row) => this.shareOf(keys[row] ?? NaN));
    this.hasMissing = this.shares.some((share) => Number.isNaN(share));
    /** How many steps a key goes. */
    this.steps = this.isText ? Math.max(1, this.high - this.low) : 20;
  }

  /**
   * Where a value lies; NaN where it has no place.
   *
   * @param {number} value
   * @returns {number}
   */
  shareOf(value) {
    if (!Number.isFinite(value)) return NaN;
    const place = this.isLog ? Math.log : (/** @type {number} */ x) => x / 2;
    const span = place(this.high) - place(this.low);
    const share = span > 0 ? (place(value) - place(this.low)) / span : 0.5;
    return this.isFlipped ? 1 - share : share;
  }

  /**
   * @param {number} share
   * @returns {number}
   */
  valueAt(share) {
    const at = this.isFlipped ? 1 - share : share;
    if (this.isLog) return Math.exp(Math.log(this.low) + at * (Math.log(this.high) - Math.log(this.low)));
    return 2 * (this.low / 2 + at * (this.high / 2 - this.low / 2));
  }

  /**
   * Texts beside the axis.
   *
   * @returns {{ share: number, text: string }[]}
   */
  ticks() {
    if (this.isText) {
      const texts = this.categories();
      const every = Math.ceil(texts.length / 14);
      return texts.filter((_, i) => i % every === 0).map(([rank, text]) => ({ share: this.shareOf(rank), text }));
    }
    const distinct = [...new Set(this.column.numbers)].filter((value) => Number.isFinite(value)).slice(0, 200);
    const places = distinct.map((value) => this.shareOf(value)).sort((a, b) => a - b);
    const isSpread = places.every((place, i) => i === 0 || place - (places[i - 1] ?? 0) > LEAST_GAP);
    if (distinct.length <= FEW && isSpread) return distinct.map((value) => ({ share: this.shareOf(value), text: this.textOf(value) }));
    if (this.isLog) {
      const powers = powerTicks(this.low, this.high);
      if (powers.length >= 2) return powers.map((value) => ({ share: this.shareOf(value), text: this.textOf(value) }));
    }
    if (this.column.head.kind !== "time") return roundTicks(this.low, this.high).map((value) => ({ share: this.shareOf(value), text: this.textOf(value) }));
    return [0, 0.25, 0.5, 0.75, 1].map((share) => ({ share, text: this.textOf(Number(this.valueAt(share).toPrecision(3))) }));
  }

  /** The texts of the axis with their rank, from the first in order to the last. */
  categories() {
    const keys = this.column.sortKeys();
    /** @type {Map<number, string>} */
    const texts = new Map();
    this.column.codes?.forEach((code, row) => {
      if (code >= 0) texts.set(keys[row] ?? NaN, this.column.values[code] ?? "");
    });
    return [...texts].sort(([a], [b]) => a - b);
  }

  /** @param {number} value */
  textOf(value) {
    return this.column.head.kind === "time" ? new Date(value).toISOString().slice(0, 16).replace("T", " ") : numberText(value);
  }

  /**
   * What a brush says, in words.
   *
   * @param {Range} range
   * @returns {string}
   */
  rangeText(range) {
    if (this.isText) {
      const inside = this.categories().filter(([rank]) => within(this.shareOf(rank), range));
      return inside.map(([, text]) => text).join(", ") || "nothing";
    }
    const ends = range.map((share) => this.valueAt(share)).sort((a, b) => a - b);
    return ends.map((value) => this.textOf(Number(value.toPrecision(3)))).join(" to ");
  }
}

/**
 * @param {number} share
 * @param {Range} range
 */
export function within(share, [low, high]) {
  return share >= low - 1e-9 && share <= high + 1e-9;
}

/**
 * The rows that all brushes take; every row when there is no brush.
 *
 * @param {readonly Axis[]} axes
 * @param {ReadonlyMap<string, Range>} brushes
 * @param {number} rows
 * @returns {number[]}
 */
export function brushedRows(axes, brushes, rows) {
  const brushed = axes.flatMap((axis) => {
    const range = brushes.get(axis.name);
    return range ? [{ shares: axis.shares, range }] : [];
  });
  return Array.from({ length: rows }, (_, row) => row).filter((row) => brushed.every(({ shares, range }) => within(shares[row] ?? NaN, range)));
}

/**
 * What a key makes of a brush: up and down move its upper end, with shift its lower end, with alt both.
 *
 * @param {Range | undefined} range
 * @param {"ArrowUp" | "ArrowDown"} key
 * @param {{ shiftKey: boolean, altKey: boolean }} held
 * @param {number} steps
 * @returns {Range}
 */
export function nudged(range, key, { shiftKey, altKey }, steps) {
  const [low, high] = range ?? [0, 1];
  const by = (key === "ArrowUp" ? 1 : -1) / steps;
  /** @param {number} share */
  const clamp = (share) => Math.round(Math.max(0, Math.min(share, 1)) * 1e6) / 1e6;
  if (altKey) {
    const move = by > 0 ? Math.min(by, 1 - high) : Math.max(by, -low);
    return [clamp(low + move), clamp(high + move)];
  }
  return shiftKey ? [Math.min(clamp(low + by), high), high] : [low, Math.max(clamp(high + by), low)];
}

/**
 * The row whose line is nearest to a point between two axes.
 *
 * @param {Float64Array} left places of the rows in pixels
 * @param {Float64Array} right
 * @param {number} share how far the point is from the left axis to the right one
 * @param {number} y
 * @param {number} reach
 * @returns {number | undefined}
 */
export function nearestLine(left, right, share, y, reach) {
  let best;
  let distance = reach;
  left.forEach((from, row) => {
    const away = Math.abs(from + share * ((right[row] ?? NaN) - from) - y);
    if (away < distance) {
      distance = away;
      best = row;
    }
  });
  return best;
}

// Of blue over violet to orange, the best last: each can be told from a light and from a dark page, and by people who see fewer colours.
const GRADIENT = /** @type {const} */ ([
  [59, 130, 246],
  [139, 92, 246],
  [217, 70, 239],
  [244, 63, 94],
  [249, 115, 22],
]);
const FEW_COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#ff9da6", "#9d755d", "#bab0ac"];

/**
 * @param {number} share
 * @returns {string}
 */
export function gradientAt(share) {
  if (Number.isNaN(share)) return "#8a8a8a";
  const place = Math.max(0, Math.min(share, 1)) * (GRADIENT.length - 1);
  const from = GRADIENT[Math.floor(place)] ?? GRADIENT[0];
  const to = GRADIENT[Math.ceil(place)] ?? from;
  const part = place - Math.floor(place);
  return `rgb(${from.map((value, i) => Math.round(value + part * ((to[i] ?? 0) - value))).join(" ")})`;
}

/**
 * A colour per row: its own where there are few, else by a column.
 *
 * @param {number} rows
 * @param {Axis | undefined} axis
 * @returns {string[]}
 */
export function coloursOf(rows, axis) {
  return Array.from({ length: rows }, (_, row) => {
    if (rows <= FEW_COLOURS.length || !axis) return FEW_COLOURS[row % FEW_COLOURS.length] ?? "";
    return gradientAt(axis.shares[row] ?? NaN);
  });
}
