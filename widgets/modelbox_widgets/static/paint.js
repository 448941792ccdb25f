// Draws one metric, with anything that has the few methods of a canvas context that are needed. Pure: no widget.

import { numberText } from "./dom.js";
import { at, durationText, extent, indicesWithin, linearTicks, logTicks, padded, scale, smoothed, stepText, union } from "./plot.js";

/** @typedef {import("./series.js").Line & { readonly label: string, readonly colour: string }} Curve */
/**
 * How curves are shown.
 *
 * @typedef {{ readonly window: readonly [number, number], readonly axis: "step" | "time", readonly isLog: boolean, readonly smoothing: number,
 *             readonly width: number, readonly height: number, readonly ink: string, readonly font: string }} Look
 */
/** @typedef {{ readonly curve: Curve, readonly from: number, readonly to: number, readonly shown: ArrayLike<number> }} Visible */
/** @typedef {(value: number) => number} Scale */

/** Room around a plot for what stands at its axes, in pixels. */
export const MARGIN = { left: 58, right: 12, top: 10, bottom: 24 };

const DOTTED_POINTS = 60;
const NOT_FINITE = "#e45756";

/**
 * Draw curves with their axes; returns how many points were drawn.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {readonly Curve[]} curves
 * @param {Look} look
 */
export function paint(pen, curves, look) {
  const { window, isLog, smoothing, width, height } = look;
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
  const lines = curves.map((curve) => {
    const [from, to] = indicesWithin(curve.x, window);
    return { curve, from, to, shown: smoothed(curve.y, smoothing) };
  });
  const bounds = lines.reduce((/** @type {readonly [number, number] | undefined} */ all, one) => union(all, extent(one.shown, one.from, one.to, isLog)), undefined);
  const domain = padded(bounds ?? [0, 1], isLog && bounds !== undefined);
  const x = scale(window, [left, right], false);
  const y = scale(domain, [bottom, top], isLog && bounds !== undefined);
  pen.font = `11px ${look.font}`;
  pen.fillStyle = look.ink;
  paintStepAxis(pen, x, look);
  if (bounds) {
    paintValueAxis(pen, y, isLog ? logTicks(...domain) : linearTicks(...domain, (height - MARGIN.top - MARGIN.bottom) / 30), look);
  } else {
    const isAllBelow = isLog && lines.some(({ from, to }) => from < to);
    pen.globalAlpha = 0.7;
    pen.fillText(isAllBelow ? "nothing above zero here" : "no points here", (left + right) / 2, (top + bottom) / 2);
  }
  pen.save();
  pen.beginPath();
  pen.rect(left, top - 3, right - left, bottom - top + 6);
  pen.clip();
  for (const line of lines) paintLine(pen, line, x, y, look, bottom);
  pen.restore();
  pen.globalAlpha = 1;
  return lines.reduce((points, { from, to }) => points + to - from, 0);
}

/** @param {CanvasRenderingContext2D} pen @param {Scale} x @param {Look} look */
function paintStepAxis(pen, x, { window, axis, width, height }) {
  const bottom = height - MARGIN.bottom;
  const ticks = linearTicks(...window, (width - MARGIN.left - MARGIN.right) / 70).filter((tick) => axis === "time" || Number.isInteger(tick));
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const tick of ticks) {
    pen.globalAlpha = 0.1;
    pen.fillRect(Math.round(x(tick)), MARGIN.top, 1, bottom - MARGIN.top);
    pen.globalAlpha = 0.75;
    const text = axis === "step" ? stepText(tick) : durationText(tick);
    const half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(Math.max(x(tick), MARGIN.left + half - 6), width - half - 1), bottom + 7);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {Scale} y @param {readonly number[]} ticks @param {Look} look */
function paintValueAxis(pen, y, ticks, { width }) {
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const tick of ticks) {
    pen.globalAlpha = 0.13;
    pen.fillRect(MARGIN.left, Math.round(y(tick)), width - MARGIN.left - MARGIN.right, 1);
    pen.globalAlpha = 0.75;
    pen.fillText(numberText(tick), MARGIN.left - 7, y(tick));
  }
}

/** @param {CanvasRenderingContext2D} pen @param {Visible} line @param {Scale} x @param {Scale} y @param {Look} look @param {number} bottom */
function paintLine(pen, line, x, y, look, bottom) {
  const { curve, from, to, shown } = line;
  pen.lineJoin = "round";
  pen.strokeStyle = curve.colour;
  pen.fillStyle = curve.colour;
  if (look.smoothing > 0) {
    pen.globalAlpha = 0.22;
    pen.lineWidth = 1;
    trace(pen, { ...line, shown: curve.y }, x, y, look);
  }
  pen.globalAlpha = 1;
  pen.lineWidth = 1.6;
  trace(pen, line, x, y, look);
  if (to - from <= DOTTED_POINTS) {
    for (let i = from; i < to; i++) {
      if (!isDrawn(at(shown, i), look.isLog)) continue;
      pen.beginPath();
      pen.arc(x(at(curve.x, i)), y(at(shown, i)), 2.2, 0, 2 * Math.PI);
      pen.fill();
    }
  }
  // NaN and infinities have no place on the scale: a red tick on the ground line says where they were logged.
  pen.fillStyle = NOT_FINITE;
  for (let i = from; i < to; i++) if (!Number.isFinite(curve.y[i])) pen.fillRect(x(at(curve.x, i)) - 1, bottom - 9, 2, 9);
}

/** @param {number} value @param {boolean} isLog */
function isDrawn(value, isLog) {
  return Number.isFinite(value) && (!isLog || value > 0);
}

/** @param {CanvasRenderingContext2D} pen @param {Visible} line @param {Scale} x @param {Scale} y @param {Look} look */
function trace(pen, { curve, from, to, shown }, x, y, { isLog }) {
  let isDown = false;
  pen.beginPath();
  for (let i = from; i < to; i++) {
    const value = at(shown, i);
    if (isDrawn(value, isLog)) {
      if (isDown) pen.lineTo(x(at(curve.x, i)), y(value));
      else pen.moveTo(x(at(curve.x, i)), y(value));
      isDown = true;
    } else {
      isDown = false;
    }
  }
  pen.stroke();
}
