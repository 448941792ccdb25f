// Numbers for plots: ticks, texts, smoothing, and what of a line lies in a window. Pure: no page, no widget.

import { numberText } from "./dom.js";

/** @typedef {readonly [number, number]} Span least and greatest */
/** @typedef {ArrayLike<number>} Numbers */

/**
 * A number of a list; NaN beyond its ends.
 *
 * @param {Numbers} numbers
 * @param {number} i
 */
export function at(numbers, i) {
  return numbers[i] ?? NaN;
}

/**
 * About `count` round numbers between `low` and `high`.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} count
 * @returns {number[]}
 */
export function linearTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return Number.isFinite(low) ? [low] : [];
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? raw;
  /** @type {number[]} */
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high && ticks.length < 50; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/**
 * Powers of ten between two positive numbers; with few of them, also 2 and 5 times each.
 *
 * @param {number} low
 * @param {number} high
 * @returns {number[]}
 */
export function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.max(1, Math.ceil((last - first) / 8));
  const factors = last - first <= 2 ? [1, 2, 5] : [1];
  /** @type {number[]} */
  const ticks = [];
  for (let power = first; power <= last; power += every) {
    for (const factor of factors) {
      const tick = factor * 10 ** power;
      if (tick >= low && tick <= high) ticks.push(Number(tick.toPrecision(6)));
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4).filter((tick) => tick > 0);
}

/**
 * A step: whole, and with its thousands apart.
 *
 * @param {number} step
 */
export function stepText(step) {
  return Number.isInteger(step) ? step.toLocaleString("en-US") : numberText(step);
}

/** @param {number} value */
function round3(value) {
  return Number(value.toPrecision(3));
}

/**
 * Seconds as a duration.
 *
 * @param {number} seconds
 */
export function durationText(seconds) {
  const size = Math.abs(seconds);
  if (size < 100) return `${numberText(round3(seconds))} s`;
  if (size < 6000) return `${numberText(round3(seconds / 60))} min`;
  return size < 360_000 ? `${numberText(round3(seconds / 3600))} h` : `${numberText(round3(seconds / 86_400))} d`;
}

/**
 * Exponential moving average without the pull of its beginning; `factor` 0 changes nothing. What is not finite stays, and counts for nothing.
 *
 * @param {Numbers} values
 * @param {number} factor
 * @returns {Numbers}
 */
export function smoothed(values, factor) {
  if (!(factor > 0)) return values;
  const result = new Float64Array(values.length);
  let mean = 0;
  let weight = 0;
  for (let i = 0; i < values.length; i++) {
    const value = at(values, i);
    if (Number.isFinite(value)) {
      mean = factor * mean + (1 - factor) * value;
      weight = factor * weight + (1 - factor);
      result[i] = mean / weight;
    } else {
      result[i] = value;
    }
  }
  return result;
}

/**
 * The first index whose x is at least `value`, in ascending `x`.
 *
 * @param {Numbers} x
 * @param {number} value
 */
export function lowerBound(x, value) {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(x, middle) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The index of the x that lies nearest to `value`; -1 when there is none.
 *
 * @param {Numbers} x
 * @param {number} value
 */
export function nearestIndex(x, value) {
  if (x.length === 0) return -1;
  const after = Math.min(lowerBound(x, value), x.length - 1);
  return after > 0 && value - at(x, after - 1) <= at(x, after) - value ? after - 1 : after;
}

/**
 * Indices [from, to) of what is seen of ascending `x` in a window: the points inside, and one on each side for the line to go to.
 *
 * @param {Numbers} x
 * @param {Span} window
 * @returns {Span}
 */
export function indicesWithin(x, [low, high]) {
  return [Math.max(0, lowerBound(x, low) - 1), Math.min(x.length, lowerBound(x, high) + 1)];
}

/**
 * Least and greatest finite value of `y` in [from, to), positive ones only for a logarithmic scale; undefined when there is none.
 *
 * @param {Numbers} y
 * @param {number} from
 * @param {number} to
 * @param {boolean} isLog
 * @returns {Span | undefined}
 */
export function extent(y, from, to, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = from; i < to; i++) {
    const value = at(y, i);
    if (!Number.isFinite(value) || (isLog && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : undefined;
}

/**
 * The least span that holds both.
 *
 * @param {Span | undefined} a
 * @param {Span | undefined} b
 * @returns {Span | undefined}
 */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  return [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
}

/**
 * Bounds with some room around them; of a single value, so much that it lies in the middle.
 *
 * @param {Span} bounds
 * @param {boolean} isLog
 * @returns {Span}
 */
export function padded([low, high], isLog) {
  if (isLog) {
    const room = low === high ? 2 : (high / low) ** 0.04;
    return [low / room, high * room];
  }
  // Halves first: two huge values of opposite sign must not overflow.
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high / 2 - low / 2) * 0.08;
  return [Math.max(low - room, -Number.MAX_VALUE), Math.min(high + room, Number.MAX_VALUE)];
}

/**
 * A function that takes values of a domain to pixels of a range.
 *
 * @param {Span} domain
 * @param {Span} range
 * @param {boolean} isLog
 * @returns {(value: number) => number}
 */
export function scale([low, high], [from, to], isLog) {
  if (isLog) {
    const [a, b] = [Math.log(low), Math.log(high)];
    return (value) => from + ((Math.log(value) - a) / (b - a || 1)) * (to - from);
  }
  const half = high / 2 - low / 2 || 1;
  return (value) => from + ((value / 2 - low / 2) / half) * (to - from);
}

/**
 * The part of `window` around `center` that is left when it is scaled by `factor`, kept within `bounds` and wider than `least`.
 *
 * @param {Span} window
 * @param {number} center
 * @param {number} factor
 * @param {Span} bounds
 * @param {number} least
 * @returns {Span}
 */
export function zoomed([low, high], center, factor, bounds, least) {
  const width = Math.min(Math.max((high - low) * factor, least), bounds[1] - bounds[0]);
  const share = (center - low) / (high - low || 1);
  return moved([center - share * width, center - share * width + width], 0, bounds);
}

/**
 * A window moved by `delta`, and no further than `bounds`.
 *
 * @param {Span} window
 * @param {number} delta
 * @param {Span} bounds
 * @returns {Span}
 */
export function moved([low, high], delta, bounds) {
  const width = Math.min(high - low, bounds[1] - bounds[0]);
  const begin = Math.min(Math.max(low + delta, bounds[0]), bounds[1] - width);
  return [begin, begin + width];
}
