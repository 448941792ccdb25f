// Columns of runs as the kernel packed them, and how their values are ordered and written.

import { numberText } from "./dom.js";
import { doubles } from "./kernel.js";

/**
 * @typedef {Object} Head
 * @property {string} name
 * @property {string} label
 * @property {"integer" | "number" | "seconds" | "text" | "time"} kind
 * @property {"run" | "setting" | "metric"} group
 * @property {"min" | "max" | null} mode
 */

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** The values of one column. */
export class Column {
  /**
   * @param {Head} head
   * @param {readonly string[] | null} values the distinct texts; null for numbers
   * @param {DataView} data
   * @param {Uint8Array} [absent] 1 for rows that have no number, where that can be told from NaN
   */
  constructor(head, values, data, absent) {
    this.head = head;
    this.absent = absent;
    this.values = values ?? [];
    /** @type {Int32Array | undefined} */
    this.codes = values ? integers(data) : undefined;
    this.numbers = values ? new Float64Array() : doubles(data);
    /** @type {Float64Array | undefined} */
    this.keys = undefined;
  }

  /** @param {number} row */
  isMissing(row) {
    return this.codes ? (this.codes[row] ?? -1) < 0 : Number.isNaN(this.numbers[row] ?? NaN);
  }

  /**
   * The value as a table shows it.
   *
   * @param {number} row
   * @param {number} nowMs
   * @returns {string}
   */
  text(row, nowMs) {
    if (this.codes) return this.values[this.codes[row] ?? -1] ?? "";
    const value = this.numbers[row] ?? NaN;
    if (Number.isNaN(value)) return this.head.group === "metric" && !this.absent?.[row] ? "NaN" : "";
    switch (this.head.kind) {
      case "time":
        return agoText(value, nowMs);
      case "seconds":
        return durationText(value);
      case "integer":
        return String(value);
      default:
        return numberText(value);
    }
  }

  /**
   * The value with all its digits.
   *
   * @param {number} row
   * @returns {string}
   */
  exact(row) {
    if (this.codes || this.isMissing(row)) return this.text(row, 0);
    const value = this.numbers[row] ?? NaN;
    return this.head.kind === "time" ? new Date(value).toISOString() : String(value);
  }

  /** What rows are sorted by: a number each, NaN for what comes last. */
  sortKeys() {
    if (!this.codes) return this.numbers;
    if (!this.keys) {
      const collator = new Intl.Collator(undefined, { numeric: true });
      const ranks = new Float64Array(this.values.length);
      [...this.values.keys()].sort((a, b) => collator.compare(this.values[a] ?? "", this.values[b] ?? "")).forEach((code, rank) => {
        ranks[code] = rank;
      });
      this.keys = Float64Array.from(this.codes, (code) => ranks[code] ?? NaN);
    }
    return this.keys;
  }
}

/**
 * @param {DataView} view
 * @returns {Int32Array}
 */
export function integers(view) {
  return new Int32Array(/** @type {ArrayBuffer} */ (view.buffer).slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/**
 * Rows in the order of a column; equal ones stay as they are, and NaN and what is missing comes last in both directions.
 *
 * @param {Column} column
 * @param {readonly number[]} rows
 * @param {boolean} ascending
 * @returns {number[]}
 */
export function sortedRows(column, rows, ascending) {
  const keys = column.sortKeys();
  const sign = ascending ? 1 : -1;
  return [...rows].sort((a, b) => {
    const x = keys[a] ?? NaN;
    const y = keys[b] ?? NaN;
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return x === y ? 0 : x < y ? -sign : sign;
  });
}

/**
 * The row with the best value of a column; undefined where better has no meaning, or all are equal.
 *
 * @param {Column} column
 * @param {readonly number[]} rows
 * @returns {number | undefined}
 */
export function bestRow(column, rows) {
  const { mode } = column.head;
  if (!mode || column.codes) return undefined;
  let best;
  let differs = false;
  for (const row of rows) {
    const value = column.numbers[row] ?? NaN;
    if (Number.isNaN(value)) continue;
    const champion = best === undefined ? NaN : (column.numbers[best] ?? NaN);
    differs ||= best !== undefined && value !== champion;
    if (best === undefined || (mode === "min" ? value < champion : value > champion)) best = row;
  }
  return differs ? best : undefined;
}

/**
 * How much better or worse than the baseline, for people.
 *
 * @param {Column} column
 * @param {number} row
 * @param {number} baseline
 * @returns {{ text: string, verdict: "better" | "worse" | "equal" | "unknown" } | undefined}
 */
export function difference(column, row, baseline) {
  const change = (column.numbers[row] ?? NaN) - (column.numbers[baseline] ?? NaN);
  if (row === baseline || Number.isNaN(change)) return undefined;
  if (change === 0) return { text: "±0", verdict: "equal" };
  const { mode } = column.head;
  const verdict = mode === null ? "unknown" : (mode === "min") === change < 0 ? "better" : "worse";
  const size = Math.abs(change);
  return { text: `${change > 0 ? "+" : "−"}${numberText(size < 1e6 ? Number(size.toPrecision(2)) : size)}`, verdict };
}

/**
 * @param {number} seconds
 * @returns {string}
 */
export function durationText(seconds) {
  if (seconds < MINUTE_S) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < HOUR_S) return `${Math.floor(seconds / MINUTE_S)} min ${Math.floor(seconds % MINUTE_S)} s`;
  return `${Math.floor(seconds / HOUR_S)} h ${Math.floor((seconds % HOUR_S) / MINUTE_S)} min`;
}

/**
 * How long ago a moment was; longer than a month ago, its date.
 *
 * @param {number} momentMs
 * @param {number} nowMs
 * @returns {string}
 */
export function agoText(momentMs, nowMs) {
  const seconds = (nowMs - momentMs) / 1000;
  if (seconds < -MINUTE_S || seconds > 30 * DAY_S) return new Date(momentMs).toISOString().slice(0, 10);
  if (seconds < MINUTE_S) return "just now";
  if (seconds < HOUR_S) return `${Math.floor(seconds / MINUTE_S)} min ago`;
  if (seconds < DAY_S) return `${Math.floor(seconds / HOUR_S)} h ago`;
  return `${Math.floor(seconds / DAY_S)} d ago`;
}
