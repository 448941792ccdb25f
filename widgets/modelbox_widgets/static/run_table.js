// The browser's half of modelbox_widgets.RunTable.

import { columnsMenu } from "./columns_menu.js";
import { announcer, Cleanup, h } from "./dom.js";
import { Grid } from "./grid.js";
import { doubles, Kernel } from "./kernel.js";
import { csvLine, exportMenu, textFile } from "./menu.js";
import { Column, integers, sortedRows } from "./runs_data.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./runs_data.js").Head} Head */

const TYPING_MS = 450;
const IMPATIENT_MS = 600;

/** One view of the table. */
class TableView {
  /**
   * @param {Model} model
   * @param {HTMLElement} el
   */
  constructor(model, el) {
    this.model = model;
    this.kernel = new Kernel(model);
    this.cleanup = new Cleanup();
    this.version = 0;
    /** @type {readonly string[]} */
    this.ids = [];
    /** @type {Map<string, number>} */
    this.rowOfId = new Map();
    /** @type {Map<string, Head>} */
    this.heads = new Map();
    /** @type {Map<string, Column>} */
    this.columns = new Map();
    /** @type {readonly number[]} */
    this.found = [];
    this.typing = 0;

    el.classList.add("modelbox-widget", "modelbox-run-table");
    this.say = announcer(el);
    this.filter = h("input", {
      class: "mbw-filter",
      type: "search",
      placeholder: "Filter: params.lr < 0.1 and metrics.loss.min < 0.2 order by metrics.loss",
      "aria-label": "Filter by a query",
      spellcheck: "false",
      autocomplete: "off",
      input: () => this.typed(TYPING_MS),
      keydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && this.typed(0),
    });
    this.count = h("span", { class: "mbw-dim mbw-count" });
    this.trouble = h("div", { class: "mbw-error", role: "alert", hidden: true });
    this.pin = h("button", { type: "button", click: () => this.pinSelected() });
    const copy = h("button", { type: "button", title: "Copy as CSV: the selected rows, or all", click: () => void this.copy() }, "Copy");
    const columns = columnsMenu(
      "Columns",
      () => [...this.heads.values()],
      () => this.names(),
      (names) => this.save("columns", names),
    );
    const files = exportMenu(
      "runs",
      {
        csv: () => textFile(this.csv(this.grid.order), "text/csv"),
        html: async () => textFile(String((await this.kernel.ask("page")).content.html), "text/html"),
      },
      this.say,
    );
    const { reload } = /** @type {{ reload?: boolean }} */ (model.get("_can"));
    const fresh = h("button", { type: "button", title: "Read the runs again", click: () => void this.reload() }, "Refresh");
    this.grid = new Grid(Number(model.get("height")), {
      sort: (name) => this.sortBy(name),
      select: () => this.selectionMade(),
      pin: (row) => this.save("baseline", this.ids[row] === model.get("baseline") ? "" : this.ids[row]),
      copy: () => void this.copy(),
      sight: (rows) => void this.readSparks(rows),
    });
    const bar = h("div", { class: "mbw-bar" }, this.filter, columns, this.pin, copy, ...(reload ? [fresh] : []), files);
    el.append(bar, this.trouble, this.grid.node, this.count);

    this.cleanup.add(() => this.grid.stop());
    this.cleanup.add(() => this.kernel.stop());
    this.cleanup.add(() => clearTimeout(this.typing));
    /** @type {Record<string, () => void>} */
    const listeners = {
      _data: () => this.takeData(),
      _found: () => this.takeFound(),
      query: () => this.takeQuery(),
      columns: () => this.show(),
      sort_by: () => this.show(),
      ascending: () => this.show(),
      baseline: () => this.show(),
      sparkline: () => this.forgetSparks(),
      selected_ids: () => this.takeSelected(),
    };
    for (const [name, listener] of Object.entries(listeners)) this.cleanup.listen(model, `change:${name}`, listener);
    this.takeQuery();
    this.takeData();
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  save(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  names() {
    return /** @type {string[]} */ (this.model.get("columns")).filter((name) => this.heads.has(name));
  }

  // --- what the kernel says --------------------------------------------------------------------------------------------------------------

  takeData() {
    const data = /** @type {any} */ (this.model.get("_data"));
    this.version = data.version;
    this.ids = data.ids;
    this.rowOfId = new Map(this.ids.map((id, row) => [id, row]));
    this.heads = new Map(data.heads.map((/** @type {Head} */ head) => [head.name, head]));
    this.columns.clear();
    for (const [name, { values, data: bytes }] of /** @type {[string, any][]} */ (Object.entries(data.columns))) {
      this.addColumn(name, values, bytes);
    }
    this.grid.sparks.clear();
    this.takeFound();
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

  takeFound() {
    const found = /** @type {any} */ (this.model.get("_found"));
    if (found.trouble) {
      this.trouble.textContent = found.trouble;
      this.trouble.hidden = false;
      return;
    }
    this.trouble.hidden = true;
    if (found.version !== this.version) return; // what belongs to it is on its way
    this.found = found.rows ? [...integers(found.rows)] : [...this.ids.keys()];
    this.show();
    this.takeSelected();
  }

  takeQuery() {
    const query = String(this.model.get("query"));
    if (document.activeElement !== this.filter) this.filter.value = query;
  }

  takeSelected() {
    const ids = /** @type {string[]} */ (this.model.get("selected_ids"));
    this.grid.selected.replace(ids.flatMap((id) => this.rowOfId.get(id) ?? []));
    this.grid.markSelected();
    this.tell();
  }

  // --- what the person does --------------------------------------------------------------------------------------------------------------

  /** @param {number} delayMs */
  typed(delayMs) {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.save("query", this.filter.value);
      this.typing = setTimeout(() => {
        const isAnswered = /** @type {any} */ (this.model.get("_found")).query === this.model.get("query");
        if (!isAnswered) this.count.textContent = "waiting for the kernel, which is busy …";
      }, IMPATIENT_MS);
    }, delayMs);
  }

  /** @param {string} name */
  sortBy(name) {
    // Ascending, descending, as they came; metrics begin with the best.
    const first = this.heads.get(name)?.mode !== "max";
    const isSorted = this.model.get("sort_by") === name;
    const isTurned = isSorted && this.model.get("ascending") !== first;
    this.model.set("sort_by", isTurned ? "" : name);
    this.model.set("ascending", isTurned ? true : isSorted ? !first : first);
    this.model.save_changes();
  }

  selectionMade() {
    this.save("selected_ids", [...this.grid.selected.rows].sort((a, b) => a - b).map((row) => this.ids[row]));
    this.tell();
  }

  pinSelected() {
    const [row] = this.grid.selected.rows;
    this.save("baseline", this.model.get("baseline") || row === undefined ? "" : this.ids[row]);
  }

  async copy() {
    const { rows } = this.grid.selected;
    const wanted = rows.size > 0 ? this.grid.order.filter((row) => rows.has(row)) : this.grid.order;
    try {
      await copyText(this.csv(wanted));
      this.flash(`Copied ${plural(wanted.length, "row")} as CSV`);
    } catch {
      this.flash("The browser does not allow copying here: use Export instead");
    }
  }

  async reload() {
    try {
      await this.kernel.ask("reload");
      this.flash("Read again");
    } catch (error) {
      this.flash(error instanceof Error ? error.message : String(error));
    }
  }

  // --- what is shown ---------------------------------------------------------------------------------------------------------------------

  /** Draw the table, and fetch what it lacks. */
  show() {
    const names = this.names();
    const sortBy = String(this.model.get("sort_by"));
    const missing = [...new Set(sortBy ? [...names, sortBy] : names)].filter((name) => !this.columns.has(name));
    if (missing.length > 0) void this.fetchColumns(missing);
    const sorting = this.columns.get(sortBy);
    const ascending = Boolean(this.model.get("ascending"));
    const { grid } = this;
    grid.columns = names.flatMap((name) => this.columns.get(name) ?? []);
    grid.order = sorting ? sortedRows(sorting, this.found, ascending) : this.found;
    grid.sort = { name: sortBy, ascending };
    grid.baseline = this.rowOfId.get(String(this.model.get("baseline")));
    const can = /** @type {{ spark?: boolean }} */ (this.model.get("_can"));
    grid.sparkTitle = can.spark ? String(this.model.get("sparkline")) : "";
    grid.empty.textContent = this.ids.length > 0 ? "No run fits this filter." : "There are no runs yet.";
    grid.refresh();
    this.tell();
  }

  /** @param {readonly string[]} names */
  async fetchColumns(names) {
    try {
      const { content, buffers } = await this.kernel.ask("columns", { names });
      if (content.version !== this.version) return;
      /** @type {any[]} */ (content.columns).forEach(({ name, values }, i) => {
        const bytes = buffers[i];
        if (bytes) this.addColumn(name, values, bytes);
      });
      if (names.some((name) => this.columns.has(name))) this.show();
    } catch (error) {
      this.flash(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {readonly number[]} rows */
  async readSparks(rows) {
    const { grid } = this;
    const wanted = rows.filter((row) => grid.sparkTitle && !grid.sparks.has(row));
    if (wanted.length === 0) return;
    for (const row of wanted) grid.sparks.set(row, new Float64Array());
    const { content, buffers } = await this.kernel.ask("sparks", { ids: wanted.map((row) => this.ids[row]) });
    if (content.metric !== grid.sparkTitle) return;
    const ids = /** @type {string[]} */ (content.ids);
    grid.addSparks(
      new Map(
        ids.flatMap((id, i) => {
          const [row, bytes] = [this.rowOfId.get(id), buffers[i]];
          return row === undefined || !bytes ? [] : [[row, doubles(bytes)]];
        }),
      ),
    );
  }

  forgetSparks() {
    this.grid.sparks.clear();
    this.show();
  }

  /** Say how many there are, how sorted, and how many selected. */
  tell() {
    const { size } = this.grid.selected.rows;
    const all = this.ids.length;
    const shown = this.found.length;
    const sorted = this.heads.get(String(this.model.get("sort_by")));
    const parts = [shown === all ? plural(all, "run") : `${shown.toLocaleString("en")} of ${plural(all, "run")}`];
    if (sorted) parts.push(`by ${sorted.label} ${this.model.get("ascending") ? "↑" : "↓"}`);
    if (size > 0) parts.push(`${size.toLocaleString("en")} selected`);
    this.count.textContent = parts.join(" · ");
    this.say(this.count.textContent);
    const isPinned = this.model.get("baseline") !== "";
    this.pin.textContent = isPinned ? "Unpin" : "Compare with";
    this.pin.title = isPinned ? "Compare with no run any more" : "Pin the selected run, and show how far others are from it (b)";
    this.pin.disabled = !isPinned && size !== 1;
  }

  /** @param {string} text */
  flash(text) {
    this.count.textContent = text;
    this.say(text);
  }

  /** @param {readonly number[]} rows */
  csv(rows) {
    const columns = [...this.grid.columns];
    const head = csvLine(["experiment_id", ...columns.map((column) => column.head.name)]);
    return [head, ...rows.map((row) => csvLine([this.ids[row] ?? "", ...columns.map((column) => column.exact(row))])), ""].join("\r\n");
  }
}

/**
 * @param {number} count
 * @param {string} word
 */
function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/**
 * Copy, also where the page came over plain HTTP.
 *
 * @param {string} text
 */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { style: "position: fixed; opacity: 0" });
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("copy");
}

export default {
  /** @param {import("./model.js").View} view */
  render({ model, el }) {
    const view = new TableView(model, el);
    return () => view.cleanup.run();
  },
};
