// The browser's half of modelbox_widgets.CompareView: parallel coordinates, curves and a table that select and point together.

import { Axis, coloursOf, gradientAt } from "./axes.js";
import { columnsMenu } from "./columns_menu.js";
import { Curves, CurvesView } from "./curves_view.js";
import { announcer, Cleanup, h } from "./dom.js";
import { Grid } from "./grid.js";
import { Kernel } from "./kernel.js";
import { csvLine, exportMenu, pictureMakers, textFile } from "./menu.js";
import { ParallelView, shortened } from "./parallel_view.js";
import { Column, sortedRows } from "./runs_data.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./runs_data.js").Head} Head */

const SEND_MS = 120;
const NAMED = 10;

/** One view of the comparison. */
class CompareView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.kernel = new Kernel(model);
    this.cleanup = new Cleanup();
    const data = /** @type {any} */ (model.get("_data"));
    this.version = data.version;
    /** @type {string[]} */
    this.ids = data.ids;
    this.rowOfId = new Map(this.ids.map((id, row) => [id, row]));
    /** @type {Map<string, Head>} */
    this.heads = new Map(data.heads.map((/** @type {Head} */ head) => [head.name, head]));
    /** @type {Map<string, Column>} */
    this.columns = new Map();
    for (const [name, { values, data: bytes }] of /** @type {[string, any][]} */ (Object.entries(data.columns))) this.addColumn(name, values, bytes);
    const sent = /** @type {any} */ (model.get("_view"));
    /** @type {string[]} */
    this.labels = sent.labels;
    /** @type {string[]} */
    this.tableNames = sent.table;
    this.headline = String(sent.headline);
    this.sort = { name: "", ascending: true };
    /** @type {Set<number>} */
    this.selected = new Set();
    /** @type {string[]} */
    this.colours = [];
    /** @type {HTMLElement[]} */
    this.chips = [];
    /** @type {number | undefined} */
    this.hovered = undefined;
    this.sending = 0;
    this.hasMore = false;
    this.sentIds = "";

    el.classList.add("modelbox-widget", "modelbox-compare");
    this.say = announcer(el);
    this.count = h("span", { class: "mbw-count" });
    this.clear = h("button", { type: "button", title: "Select nothing, and take away all brushes", click: () => this.select([]) }, "Clear");
    this.legend = h("div", { class: "mbw-legend" });
    this.tip = h("div", { class: "mbw-tip", hidden: true });
    /** @param {number} row @param {MouseEvent} event */
    const pick = (row, event) => this.pick(row, event);
    this.parallel = new ParallelView({
      brush: (rows) => this.take(rows),
      hover: (row, event) => this.hover(row, event),
      pick,
      order: (names) => this.save("axes", names),
      say: this.say,
    });
    this.curves = new CurvesView({ box: (rows) => this.select(rows), hover: (row, event) => this.hover(row, event), pick });
    this.grid = new Grid(300, {
      sort: (name) => this.sortBy(name),
      select: () => this.select([...this.grid.selected.rows]),
      pin: (row) => this.pin(row),
      copy: () => void navigator.clipboard?.writeText(this.csv()),
      hover: (row) => this.hover(row),
    });
    const axes = columnsMenu(
      "Axes",
      () => [...this.heads.values()],
      () => this.axisNames(),
      (names) => this.save("axes", names),
    );
    const files = exportMenu(
      "comparison",
      {
        ...pictureMakers(() => this.parallel.drawing),
        csv: () => textFile(this.csv(), "text/csv"),
        html: async () => textFile(String((await this.kernel.ask("page")).content.html), "text/html"),
        json: async () => textFile(JSON.stringify((await this.kernel.ask("spec")).content.spec, undefined, 2), "application/json"),
      },
      this.say,
    );
    const bar = h("div", { class: "mbw-bar" }, this.count, h("span", { class: "mbw-spacer" }), this.legend, this.clear, axes, files);
    el.append(bar, this.parallel.node, this.curves.node, this.grid.node, this.tip);

    this.cleanup.add(() => this.grid.stop());
    this.cleanup.add(() => this.parallel.stop());
    this.cleanup.add(() => this.curves.stop());
    this.cleanup.add(() => this.kernel.stop());
    this.cleanup.add(() => clearTimeout(this.sending));
    this.cleanup.listen(model, "change:selected_ids", () => this.hearSelected());
    this.cleanup.listen(model, "change:axes", () => this.show());
    this.cleanup.listen(model, "change:colour_by", () => this.show());
    this.show();
    this.hearSelected();
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  save(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  axisNames() {
    return /** @type {string[]} */ (this.model.get("axes")).filter((name) => this.heads.has(name));
  }

  /**
   * @param {string} name
   * @param {string[] | null} values
   * @param {DataView} bytes
   */
  addColumn(name, values, bytes) {
    const head = this.heads.get(name);
    if (head) this.columns.set(name, new Column(head, values, bytes));
  }

  // --- what is shown ---------------------------------------------------------------------------------------------------------------------

  show() {
    const colourBy = String(this.model.get("colour_by"));
    const names = [...this.axisNames(), ...(this.heads.has(colourBy) ? [colourBy] : [])];
    const missing = [...new Set(names)].filter((name) => !this.columns.has(name));
    if (missing.length > 0) void this.fetchColumns(missing);
    const count = this.ids.length;
    const colouring = this.columns.get(colourBy);
    const colourAxis = colouring && new Axis(colouring, count);
    this.colours = coloursOf(count, colourAxis);
    const axes = this.axisNames().flatMap((name) => this.columns.get(name) ?? []);
    this.parallel.show(
      axes.map((column) => new Axis(column, count)),
      count,
      this.colours,
    );
    this.parallel.node.hidden = axes.length < 2;
    this.curves.show(
      /** @type {any[]} */ (this.model.get("_curves")).map((sent) => new Curves(sent)),
      this.colours,
    );
    this.showLegend(colourAxis);
    this.showTable();
    this.mark();
  }

  showTable() {
    const rows = this.ids.map((_, row) => row);
    /** @type {Head} */
    const head = { name: "run", label: "run", kind: "text", group: "run", mode: null };
    const codes = Int32Array.from(rows);
    const run = new Column(head, this.labels, new DataView(codes.buffer));
    const columns = [run, ...this.tableNames.flatMap((name) => this.columns.get(name) ?? [])];
    const sorting = columns.find((column) => column.head.name === this.sort.name);
    this.grid.columns = columns;
    this.grid.order = sorting ? sortedRows(sorting, rows, this.sort.ascending) : rows;
    this.grid.sort = this.sort;
    this.grid.colours = this.colours;
    this.grid.refresh();
  }

  /** @param {Axis | undefined} axis */
  showLegend(axis) {
    this.legend.replaceChildren();
    this.chips = [];
    if (this.ids.length <= NAMED) {
      this.chips = this.labels.map((label, row) =>
        h(
          "button",
          {
            type: "button",
            class: "mbw-chip",
            title: label,
            click: (/** @type {MouseEvent} */ event) => this.pick(row, event),
            pointerenter: () => this.hover(row),
            pointerleave: () => this.hover(undefined),
          },
          h("span", { class: "mbw-swatch", style: `background: ${this.colours[row] ?? ""}` }),
          shortened(label, 24),
        ),
      );
      this.legend.append(...this.chips);
    } else if (axis) {
      const stops = [0, 0.25, 0.5, 0.75, 1].map(gradientAt).join(", ");
      const [worst, best] = [0, 1].map((share) => (axis.isText ? "" : axis.textOf(Number(axis.valueAt(share).toPrecision(3)))));
      const bar = h("span", { class: "mbw-gradient", style: `background: linear-gradient(to right, ${stops})` });
      this.legend.append(h("span", { class: "mbw-dim", title: axis.name }, shortened(axis.column.head.label, 24)), worst ?? "", bar, best ?? "");
    }
  }

  /** @param {readonly string[]} names */
  async fetchColumns(names) {
    const { content, buffers } = await this.kernel.ask("columns", { names });
    /** @type {any[]} */ (content.columns).forEach(({ name, values }, i) => {
      const bytes = buffers[i];
      if (bytes) this.addColumn(name, values, bytes);
    });
    if (names.some((name) => this.columns.has(name))) this.show();
  }

  // --- selecting -------------------------------------------------------------------------------------------------------------------------

  /**
   * Select rows by something that is no brush.
   *
   * @param {readonly number[]} rows
   */
  select(rows) {
    this.parallel.clearBrushes();
    this.take(rows);
  }

  /**
   * Select a run and no other, or with a key held one more; what is selected already is taken back.
   *
   * @param {number} row
   * @param {MouseEvent} event
   */
  pick(row, event) {
    const others = [...this.selected].filter((one) => one !== row);
    const isAdding = event.ctrlKey || event.metaKey || event.shiftKey;
    const isTaken = this.selected.has(row) && (isAdding || others.length === 0);
    this.select([...(isAdding ? others : []), ...(isTaken ? [] : [row])]);
  }

  /** @param {readonly number[]} rows */
  take(rows) {
    this.selected = new Set(rows);
    this.mark();
    if (this.sending) this.hasMore = true;
    else this.sendSelected();
  }

  /** Tell the kernel: at once, and while a brush is dragged some times per second. */
  sendSelected() {
    this.hasMore = false;
    this.sending = setTimeout(() => {
      this.sending = 0;
      if (this.hasMore) this.sendSelected();
    }, SEND_MS);
    const ids = this.ids.filter((_, row) => this.selected.has(row));
    this.sentIds = ids.join();
    this.save("selected_ids", ids);
  }

  hearSelected() {
    const ids = /** @type {string[]} */ (this.model.get("selected_ids"));
    if (this.hasMore || ids.join() === this.sentIds) return; // our own words, or about to be replaced by them
    this.sentIds = ids.join();
    this.parallel.clearBrushes();
    this.selected = new Set(ids.flatMap((id) => this.rowOfId.get(id) ?? []));
    this.mark();
  }

  /** Show everywhere what is selected. */
  mark() {
    const { size } = this.parallel.brushes;
    // Brushes that no run fits select nothing, which is not the same as no selection.
    const shown = size > 0 && this.selected.size === 0 ? new Set([-1]) : this.selected;
    this.parallel.mark(shown);
    this.curves.mark(shown);
    this.grid.selected.replace(this.selected);
    this.grid.markSelected();
    this.chips.forEach((chip, row) => chip.setAttribute("aria-pressed", String(this.selected.has(row))));
    const found = this.selected.size > 0 ? `${this.selected.size} selected` : size > 0 ? "no run fits these brushes" : "";
    this.count.textContent = [this.headline, found].filter(Boolean).join(" · ");
    this.clear.disabled = this.selected.size === 0 && size === 0;
    this.say(found || "nothing selected");
  }

  // --- pointing --------------------------------------------------------------------------------------------------------------------------

  /**
   * @param {number | undefined} row
   * @param {PointerEvent} [event]
   */
  hover(row, event) {
    if (event && event.buttons > 0) row = undefined; // a brush or a box is being drawn
    if (row !== this.hovered) {
      this.hovered = row;
      this.parallel.heat(row);
      this.curves.heat(row);
      this.grid.heat(row);
    }
    this.tip.hidden = row === undefined || event === undefined;
    if (row === undefined || !event) return;
    const nowMs = Date.now();
    const lines = this.parallel.axes.map((axis) =>
      h("div", {}, h("span", { class: "mbw-dim" }, shortened(axis.column.head.label, 26)), h("b", {}, shortened(axis.column.text(row, nowMs) || "none", 26))),
    );
    const dot = h("span", { class: "mbw-swatch", style: `background: ${this.colours[row] ?? ""}` });
    this.tip.replaceChildren(h("div", { class: "mbw-tip-name" }, h("span", {}, dot, shortened(this.labels[row] ?? "", 40))), ...lines);
    const corner = this.el.getBoundingClientRect();
    const x = event.clientX - corner.left;
    const isRight = x > corner.width / 2;
    this.tip.style.left = `${isRight ? x - 16 - this.tip.offsetWidth : x + 16}px`;
    this.tip.style.top = `${Math.max(0, event.clientY - corner.top - 12)}px`;
  }

  // --- the table -------------------------------------------------------------------------------------------------------------------------

  /** @param {string} name */
  sortBy(name) {
    const first = this.heads.get(name)?.mode !== "max";
    const isSorted = this.sort.name === name;
    const isTurned = isSorted && this.sort.ascending !== first;
    this.sort = isTurned ? { name: "", ascending: true } : { name, ascending: isSorted ? !first : first };
    this.showTable();
  }

  /** @param {number} row */
  pin(row) {
    this.grid.baseline = this.grid.baseline === row ? undefined : row;
    this.grid.refresh();
  }

  csv() {
    const { columns, order } = this.grid;
    const rows = this.selected.size > 0 ? order.filter((row) => this.selected.has(row)) : order;
    const head = csvLine(["experiment_id", ...columns.map((column) => column.head.name)]);
    return [head, ...rows.map((row) => csvLine([this.ids[row] ?? "", ...columns.map((column) => column.exact(row))])), ""].join("\r\n");
  }
}

export default {
  /** @param {import("./model.js").View} view */
  render({ model, el }) {
    const view = new CompareView(model, el);
    return () => view.cleanup.run();
  },
};
