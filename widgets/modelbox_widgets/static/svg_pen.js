// A stand-in for a canvas context that writes an SVG: the same drawing as a file that scales. Knows what paint.js uses, and no more.

import { svg } from "./dom.js";

/** Draws into an SVG group. */
export class SvgPen {
  /** @param {SVGElement} group where to draw */
  constructor(group) {
    this.group = group;
    this.path = "";
    /** @type {SVGElement[]} */
    this.groups = [];
    this.font = "";
    this.fillStyle = "";
    this.strokeStyle = "";
    this.globalAlpha = 1;
    this.lineWidth = 1;
    this.lineJoin = "round";
    this.textAlign = "left";
    this.textBaseline = "top";
  }

  /** @param {SVGElement} made */
  put(made) {
    if (this.globalAlpha < 1) made.setAttribute("opacity", String(this.globalAlpha));
    this.group.append(made);
  }

  /** @param {string} text */
  measureText(text) {
    return { width: text.length * 6.2 };
  }

  /** @param {string} text @param {number} x @param {number} y */
  fillText(text, x, y) {
    const anchor = { center: "middle", right: "end" }[this.textAlign] ?? "start";
    const size = Number.parseFloat(this.font) || 11;
    const drop = this.textBaseline === "top" ? size * 0.8 : size * 0.35;
    const family = this.font.replace(/^[\d.]+px /, "");
    this.put(svg("text", { x: x.toFixed(1), y: (y + drop).toFixed(1), fill: this.fillStyle, "text-anchor": anchor, "font-size": size, "font-family": family }, text));
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    this.put(svg("rect", { x: x.toFixed(1), y: y.toFixed(1), width, height, fill: this.fillStyle }));
  }

  beginPath() {
    this.path = "";
  }

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.path += `M${x.toFixed(1)},${y.toFixed(1)}`;
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.path += `L${x.toFixed(1)},${y.toFixed(1)}`;
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  rect(x, y, width, height) {
    this.path += `M${x},${y}h${width}v${height}h${-width}z`;
  }

  /** Only ever a whole circle. @param {number} x @param {number} y @param {number} radius */
  arc(x, y, radius) {
    this.path += `M${(x - radius).toFixed(1)},${y.toFixed(1)}a${radius},${radius} 0 1 0 ${2 * radius},0a${radius},${radius} 0 1 0 ${-2 * radius},0`;
  }

  stroke() {
    if (this.path) this.put(svg("path", { d: this.path, fill: "none", stroke: this.strokeStyle, "stroke-width": this.lineWidth, "stroke-linejoin": this.lineJoin }));
  }

  fill() {
    if (this.path) this.put(svg("path", { d: this.path, fill: this.fillStyle }));
  }

  /** What follows lies in a group of its own, so that a clip ends with it. */
  save() {
    const inner = svg("g");
    this.group.append(inner);
    this.groups.push(this.group);
    this.group = inner;
  }

  clip() {
    const name = `clip-${Math.random().toString(36).slice(2)}`;
    this.group.append(svg("clipPath", { id: name }, svg("path", { d: this.path })));
    this.group.setAttribute("clip-path", `url(#${name})`);
  }

  restore() {
    this.group = this.groups.pop() ?? this.group;
  }
}
