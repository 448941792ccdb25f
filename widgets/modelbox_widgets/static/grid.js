// A grid that draws only the rows in sight: sorting by its heads, selecting by pointer and keyboard, a pinned row to compare with.

import { attribute, h, perFrame, svg } from "./dom.js";
import { moved, Selected, windowOf } from "./rows.js";
import { bestRow, difference } from "./runs_data.js";

/** @typedef {import("./runs_data.js").Column} Column */

/**
 * @typedef {Object} GridEvents
 * @property {(name: string) => void} sort
 * @property {() => void} select
 * @property {(row: number) => void} pin
 * @property {() => void} copy
 * @property {(rows: readonly number[]) => void} [sight] rows came into sight
 * @property {(row: number | undefined) => void} [hover]
 * @property {(row: number) => string} [href] where the first cell of a row leads
 * @property {(row: number) => void} [open] Enter or a double click on a row
 */

const ROW_PX = 28;
const HEAD_PX = 30;
const SPARK = { width: 96, height: 20 };
let grids = 0;

/** A table of runs. */
export class Grid {
  /**
   * @param {number} height
   * @param {GridEvents} events
   */
  constructor(height, events) {
    this.events = events;
    this.id = `mbw-grid-${++grids}`;
    this.selected = new Selected();
    /** @type {readonly Column[]} */
    this.columns = [];
    /** @type {readonly number[]} */
    this.order = [];
    /** @type {number | undefined} */
    this.baseline = undefined;
    this.sort = { name: "", ascending: true };
    this.sparkTitle = "";
    /** @type {Map<number, Float64Array>} */
    this.sparks = new Map();
    /** @type {readonly string[] | undefined} a colour per row, for a dot before its name */
    this.colours = undefined;
    /** @type {Map<string, number>} */
    this.widths = new Map();
    /** @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    /** @type {(number | undefined)[]} */
    this.best = [];
    this.at = { row: 0, column: 0 };
    this.head = h("div", { class: "mbw-row mbw-head", role: "row", "aria-rowindex": 1 });
    this.pinned = h("div", { class: "mbw-pinned", role: "presentation" });
    this.body = h("div", { class: "mbw-body", role: "presentation" });
    this.empty = h("div", { class: "mbw-empty mbw-dim" });
    // The lab's own keys (a, b, d d …) are for cells, not for tables in their outputs.
    this.node = h(
      "div",
      {
        class: "mbw-grid",
        role: "grid",
        tabindex: 0,
        "aria-label": "Runs",
        "aria-multiselectable": "true",
        "data-lm-suppress-shortcuts": "true",
        style: `max-height: ${height}px`,
        scroll: () => this.frame.soon(),
        keydown: (/** @type {KeyboardEvent} */ event) => this.onKey(event),
        focus: () => this.markActive(),
        blur: () => this.markActive(),
        pointerover: (/** @type {PointerEvent} */ event) => this.onHover(event),
        pointerleave: () => this.events.hover?.(undefined),
      },
      this.head,
      this.pinned,
      this.body,
      this.empty,
    );
    this.frame = perFrame(() => this.drawRows());
    this.resizes = new ResizeObserver(() => this.frame.soon());
    this.resizes.observe(this.node);
  }

  stop() {
    this.frame.stop();
    this.resizes.disconnect();
  }

  /** Draw everything anew: columns, order, baseline or sorting changed. */
  refresh() {
    this.best = this.columns.map((column) => bestRow(column, this.order));
    const widths = this.columns.map((column) => this.widthOf(column));
    const spark = this.sparkTitle ? ` ${SPARK.width + 16}px` : "";
    this.node.style.setProperty("--mbw-columns", `30px ${widths.map((width) => `${width}px`).join(" ")}${spark}`);
    const total = 30 + widths.reduce((sum, width) => sum + width, 0) + (this.sparkTitle ? SPARK.width + 16 : 0);
    for (const part of [this.head, this.pinned, this.body]) part.style.width = `${total}px`;
    attribute(this.node, { "aria-rowcount": this.order.length + 1, "aria-colcount": this.columns.length });
    if (this.order.length > 0) this.at.row = Math.min(this.at.row, this.order.length - 1);
    this.at.column = Math.max(0, Math.min(this.at.column, this.columns.length - 1));
    this.body.style.height = `${this.order.length * ROW_PX}px`;
    this.empty.hidden = this.order.length > 0;
    this.drawHead();
    this.pinned.replaceChildren();
    if (this.baseline !== undefined) this.pinned.append(this.rowOf(this.baseline, -1));
    this.drawn.forEach((row) => row.remove());
    this.drawn.clear();
    this.drawRows();
  }

  /** The selection changed, and nothing else. */
  markSelected() {
    const { rows } = this.selected;
    for (const row of this.node.querySelectorAll("[data-row]")) {
      row.setAttribute("aria-selected", String(rows.has(Number(row.getAttribute("data-row")))));
    }
    const all = this.order.length > 0 && this.order.every((row) => rows.has(row));
    this.head.firstElementChild?.setAttribute("data-state", all ? "all" : rows.size > 0 ? "some" : "none");
  }

  /** @param {ReadonlyMap<number, Float64Array>} curves */
  addSparks(curves) {
    for (const [row, values] of curves) {
      this.sparks.set(row, values);
      for (const place of this.node.querySelectorAll(`[data-row="${row}"] .mbw-spark`)) place.replaceChildren(sparkOf(values));
    }
  }

  // --- heads ---------------------------------------------------------------------------------------------------------------------------

  drawHead() {
    const all = h("span", { class: "mbw-check", role: "columnheader", "aria-label": "Select all", click: () => this.selectAll() });
    const cells = this.columns.map((column, i) => {
      const { name, label, mode, kind } = column.head;
      const isSorted = name === this.sort.name;
      const arrow = isSorted ? (this.sort.ascending ? "▲" : "▼") : "";
      const aim = mode === "min" ? "smaller is better" : mode === "max" ? "greater is better" : "";
      return h(
        "div",
        {
          id: `${this.id}-head-${i}`,
          class: `mbw-cell${kind === "text" ? "" : " mbw-num"}`,
          role: "columnheader",
          title: [name, aim].filter(Boolean).join(": "),
          "aria-colindex": i + 1,
          "aria-sort": isSorted ? (this.sort.ascending ? "ascending" : "descending") : "none",
          click: () => this.events.sort(name),
        },
        h("span", { class: "mbw-label" }, label),
        h("span", { class: "mbw-arrow", "aria-hidden": "true" }, arrow),
        h("span", {
          class: "mbw-resize",
          "aria-hidden": "true",
          pointerdown: (/** @type {PointerEvent} */ event) => this.startResize(event, column),
          click: (/** @type {Event} */ event) => event.stopPropagation(),
          dblclick: () => this.resize(column, undefined),
        }),
      );
    });
    const spark = this.sparkTitle ? [h("div", { class: "mbw-cell", role: "columnheader" }, h("span", { class: "mbw-label" }, this.sparkTitle))] : [];
    this.head.replaceChildren(all, ...cells, ...spark);
    this.markSelected();
    this.markActive();
  }

  /** @param {Column} column */
  widthOf(column) {
    const known = this.widths.get(column.head.name);
    if (known !== undefined) return known;
    const sample = this.order.slice(0, 60).map((row) => column.text(row, Date.now()).length);
    const isCompared = this.baseline !== undefined && column.head.group === "metric";
    const isDotted = this.colours !== undefined && column === this.columns[0];
    const isLink = this.events.href !== undefined && column === this.columns[0];
    const content = Math.max(0, ...sample) * (column.codes ? 7.2 : 8.2) + 26 + (isCompared ? 68 : 0) + (isDotted ? 18 : 0) + (isLink ? 24 : 0);
    const width = Math.max(column.head.label.length * 7.9 + 32, content);
    return Math.round(Math.max(72, Math.min(width, column.head.kind === "text" ? 230 : 200)));
  }

  /**
   * @param {PointerEvent} event
   * @param {Column} column
   */
  startResize(event, column) {
    const handle = /** @type {HTMLElement} */ (event.target);
    const from = event.clientX;
    const width = this.widthOf(column);
    handle.setPointerCapture(event.pointerId);
    /** @param {PointerEvent} move */
    const onMove = (move) => this.resize(column, width + move.clientX - from);
    // The handle itself is drawn anew with the head, so the window hears the rest.
    const stop = () => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", stop);
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", stop);
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {Column} column
   * @param {number | undefined} width undefined for what the content needs
   */
  resize(column, width) {
    if (width === undefined) this.widths.delete(column.head.name);
    else this.widths.set(column.head.name, Math.max(48, Math.min(Math.round(width), 800)));
    this.refresh();
  }

  // --- rows ----------------------------------------------------------------------------------------------------------------------------

  drawRows() {
    // The lab takes cells out of the page while they are scrolled away, and puts them back.
    if (this.node.clientHeight === 0 && this.drawn.size > 0) return;
    const top = this.node.scrollTop;
    const { first, end } = windowOf(top, this.node.clientHeight - HEAD_PX, ROW_PX, this.order.length);
    for (const [position, row] of this.drawn) {
      if (position < first || position >= end) {
        row.remove();
        this.drawn.delete(position);
      }
    }
    const fresh = [];
    for (let position = first; position < end; position++) {
      const row = this.order[position];
      if (row === undefined || this.drawn.has(position)) continue;
      const made = this.rowOf(row, position);
      made.style.transform = `translateY(${position * ROW_PX}px)`;
      this.drawn.set(position, made);
      this.body.append(made);
      fresh.push(row);
    }
    this.markActive();
    if (fresh.length > 0) this.events.sight?.(fresh);
  }

  /**
   * @param {number} row
   * @param {number} position -1 for the pinned one
   * @returns {HTMLElement}
   */
  rowOf(row, position) {
    const nowMs = Date.now();
    const cells = this.columns.map((column, i) => {
      const cell = h("div", {
        id: position < 0 ? undefined : `${this.id}-${position}-${i}`,
        class: `mbw-cell${column.codes ? "" : " mbw-num"}${this.best[i] === row ? " mbw-best" : ""}`,
        role: "gridcell",
        "aria-colindex": i + 1,
        "data-column": i,
        title: column.exact(row),
      });
      const text = column.text(row, nowMs);
      const colour = i === 0 ? this.colours?.[row] : undefined;
      if (colour) cell.append(h("span", { class: "mbw-swatch", style: `background: ${colour}` }));
      if (column.head.name === "status") cell.append(h("span", { class: "mbw-badge", "data-status": text }, text));
      else if (i === 0 && this.events.href) cell.append(h("a", { href: this.events.href(row), tabindex: -1, draggable: "false" }, text));
      else cell.append(text);
      if (this.baseline !== undefined && column.head.group === "metric" && !column.codes) {
        const change = difference(column, row, this.baseline);
        cell.append(h("span", { class: "mbw-change", "data-verdict": change?.verdict ?? "" }, change?.text ?? ""));
      }
      return cell;
    });
    const check = h("span", { class: "mbw-check", "data-check": true, "aria-hidden": "true" });
    const made = h(
      "div",
      {
        class: "mbw-row",
        role: "row",
        "data-row": row,
        "aria-rowindex": position + 2,
        "aria-selected": String(this.selected.rows.has(row)),
        click: (/** @type {MouseEvent} */ event) => this.onClick(event, row, position),
        mousedown: (/** @type {MouseEvent} */ event) => event.shiftKey && event.preventDefault(),
        dblclick: () => (this.events.open ?? this.events.pin)(row),
      },
      check,
      ...cells,
    );
    if (this.sparkTitle) {
      const curve = this.sparks.get(row);
      made.append(h("div", { class: "mbw-cell mbw-spark", role: "gridcell" }, ...(curve ? [sparkOf(curve)] : [])));
    }
    return made;
  }

  /**
   * @param {MouseEvent} event
   * @param {number} row
   * @param {number} position
   */
  onClick(event, row, position) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("a")) return;
    if (event.shiftKey) this.selected.extend(row, this.order);
    else if (event.ctrlKey || event.metaKey || target.hasAttribute("data-check")) this.selected.toggle(row);
    else this.selected.only(row);
    if (position >= 0) {
      const column = Number(target.closest("[data-column]")?.getAttribute("data-column") ?? this.at.column);
      this.at = { row: position, column };
    }
    this.selectionChanged();
  }

  /** @param {PointerEvent} event */
  onHover(event) {
    const row = /** @type {Element} */ (event.target).closest("[data-row]")?.getAttribute("data-row");
    this.events.hover?.(row === undefined || row === null ? undefined : Number(row));
  }

  /** @param {number | undefined} row */
  heat(row) {
    this.node.querySelector(".mbw-heated")?.classList.remove("mbw-heated");
    if (row !== undefined) this.body.querySelector(`[data-row="${row}"]`)?.classList.add("mbw-heated");
  }

  selectAll() {
    const isAll = this.order.every((row) => this.selected.rows.has(row));
    this.selected.replace(isAll ? [] : this.order);
    this.selectionChanged();
  }

  selectionChanged() {
    this.markSelected();
    this.markActive();
    this.events.select();
  }

  // --- keyboard ------------------------------------------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key meant something here
   */
  act(event) {
    const { key, shiftKey } = event;
    const row = this.order[this.at.row];
    const column = this.columns[this.at.column];
    const withControl = event.ctrlKey || event.metaKey;
    if (withControl && key === "a") this.selectAll();
    else if (withControl && key === "c" && String(getSelection()) === "") this.events.copy();
    else if (withControl) return false;
    else if (event.altKey && column && (key === "ArrowLeft" || key === "ArrowRight")) {
      this.resize(column, this.widthOf(column) + (key === "ArrowRight" ? 16 : -16));
    } else if (key === "Escape" && this.selected.rows.size > 0) {
      this.selected.replace([]);
      this.selectionChanged();
    } else if (this.at.row < 0 && (key === "Enter" || key === " ")) {
      if (column) this.events.sort(column.head.name);
    } else if (row !== undefined && key === " ") {
      if (shiftKey) this.selected.extend(row, this.order);
      else this.selected.toggle(row);
      this.selectionChanged();
    } else if (row !== undefined && key === "Enter" && this.events.open) {
      this.events.open(row);
    } else if (row !== undefined && key === "Enter") {
      this.selected.only(row);
      this.selectionChanged();
    } else if (row !== undefined && key === "b") this.events.pin(row);
    else {
      const page = Math.max(1, Math.floor(this.node.clientHeight / ROW_PX) - 2);
      const to = moved(key, this.at, { rows: this.order.length, columns: this.columns.length, page });
      if (!to) return false;
      this.at = to;
      this.reveal();
      const reached = this.order[to.row];
      if (shiftKey && reached !== undefined && to.row >= 0 && row !== undefined) {
        this.selected.anchor ??= row;
        this.selected.extend(reached, this.order);
        this.selectionChanged();
      }
    }
    return true;
  }

  /** Scroll to where the keyboard is. */
  reveal() {
    const { node, at } = this;
    const above = HEAD_PX + this.pinned.offsetHeight;
    const top = at.row * ROW_PX;
    if (at.row >= 0) {
      const room = node.clientHeight - above;
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + ROW_PX > node.scrollTop + room) node.scrollTop = top + ROW_PX - room;
    }
    this.drawRows();
    const cell = this.activeCell();
    if (!cell) return;
    const left = cell.offsetLeft;
    if (left < node.scrollLeft) node.scrollLeft = left - 30;
    else if (left + cell.offsetWidth > node.scrollLeft + node.clientWidth) node.scrollLeft = left + cell.offsetWidth - node.clientWidth;
  }

  activeCell() {
    const name = this.at.row < 0 ? `${this.id}-head-${this.at.column}` : `${this.id}-${this.at.row}-${this.at.column}`;
    return /** @type {HTMLElement | null} */ (this.node.querySelector(`#${name}`));
  }

  markActive() {
    this.node.querySelector(".mbw-active")?.classList.remove("mbw-active");
    const cell = this.activeCell();
    attribute(this.node, { "aria-activedescendant": cell?.id });
    if (cell && this.node.ownerDocument.activeElement === this.node) cell.classList.add("mbw-active");
  }
}

/**
 * A small drawing of a curve.
 *
 * @param {Float64Array} values
 * @returns {SVGSVGElement}
 */
export function sparkOf(values) {
  const known = values.filter((value) => Number.isFinite(value));
  const low = Math.min(...known);
  const high = Math.max(...known);
  const { width, height } = SPARK;
  const x = (/** @type {number} */ i) => ((i / Math.max(values.length - 1, 1)) * (width - 4) + 2).toFixed(1);
  const y = (/** @type {number} */ value) => (height - 2 - ((value / 2 - low / 2) / (high / 2 - low / 2 || 1)) * (height - 4)).toFixed(1);
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (Number.isFinite(value)) path += `${pen}${x(i)},${y(value)}`;
    pen = Number.isFinite(value) ? "L" : "M";
  });
  const drawing = svg("svg", { width, height, "aria-hidden": "true" });
  drawing.append(svg("path", { d: path, fill: "none", "stroke-width": 1.4, "stroke-linejoin": "round" }));
  return drawing;
}
