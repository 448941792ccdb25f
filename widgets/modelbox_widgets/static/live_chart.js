// The browser's half of modelbox_widgets.LiveChart: many metrics of many runs, zoomed and smoothed here, fetched closely from the kernel.
//
// Points arrive as numbered increments and, now and then, all at once (the trait "_snapshot"). What is zoomed to is asked for in as many points
// as the plots have pixels to tell them apart.

import { announcer, Cleanup, h, numberText, perFrame, svg } from "./dom.js";
import { Kernel } from "./kernel.js";
import { Plot } from "./live_plot.js";
import { csvLine, exportMenu, textFile } from "./menu.js";
import { MARGIN, paint } from "./paint.js";
import { at, durationText, extent, stepText, union, zoomed } from "./plot.js";
import { Series, stepsToFetch } from "./series.js";
import { SvgPen } from "./svg_pen.js";

/** @typedef {readonly [number, number]} Window */
/** @typedef {{ readonly id: string, readonly label: string, readonly colour: string, readonly status: string }} Run */

const REDRAW_MS = 120;
const FETCH_MS = 150;
const MAX_FETCHED_POINTS = 8000;

/** The widget: tool bar, legend, plots and values. */
class LiveChart {
  /** @param {import("./model.js").View} view */
  constructor({ model, el }) {
    this.model = model;
    this.el = el;
    this.cleanup = new Cleanup();
    this.kernel = new Kernel(model);
    this.series = new Series();
    /** @type {Map<string, Plot>} */
    this.plots = new Map();
    this.frame = perFrame(() => this.draw());
    this.fetches = 0;
    this.isFetching = false;
    this.trouble = "";
    /** @type {number | undefined} */
    this.drawTimer = undefined;
    /** @type {number | undefined} */
    this.fetchTimer = undefined;
    /** @type {Window | undefined} */
    this.everything = undefined;
    el.classList.add("modelbox-widget", "mbl");
    el.dataset.lmSuppressShortcuts = "true"; // letters and arrows mean something else to a notebook
    this.say = announcer(el);
    this.legend = h("div", { class: "mbl-legend", role: "group", "aria-label": "Runs" });
    this.grid = h("div", { class: "mbl-grid" });
    this.state = h("span", { class: "mbl-state mbw-dim", role: "status" });
    this.values = h("details", { class: "mbl-values", toggle: () => this.drawValues() }, h("summary", {}, "Values"));
    this.smoothing = h("input", { type: "range", min: 0, max: 0.99, step: 0.01, input: () => this.set("smoothing", Number(this.smoothing.value)) });
    this.log = h("input", { type: "checkbox", change: () => this.set("log_scale", this.log.checked) });
    this.axisChoice = h("select", { change: () => this.changeAxis() }, h("option", { value: "step" }, "step"), h("option", { value: "time" }, "time"));
    this.all = h("button", { type: "button", title: "Zoom out (0, or double-click)", click: () => this.show(null) }, "Show all");
    this.pause = h("button", { type: "button", click: () => this.set("following", !model.get("following")) });
    const tools = h(
      "div",
      { class: "mbw-bar", role: "toolbar", "aria-label": "How the lines are drawn" },
      h("label", {}, "Smoothing", this.smoothing),
      h("label", {}, this.log, "Log scale"),
      h("label", {}, "x", this.axisChoice),
      this.all,
      this.pause,
      h("span", { class: "mbw-spacer" }),
      this.state,
      exportMenu("metrics", this.makers(), this.say),
    );
    el.append(tools, this.legend, this.grid, this.values);
    this.listen();
    this.takeSnapshot();
    this.drawLegend();
  }

  listen() {
    const { model, cleanup } = this;
    cleanup.listen(model, "change:_snapshot", () => this.takeSnapshot());
    cleanup.listen(model, "msg:custom", (message, buffers) => void this.hear(message, buffers));
    for (const name of ["_runs", "hidden"]) cleanup.listen(model, `change:${name}`, () => this.drawLegend());
    for (const name of ["_metrics", "_note", "following", "smoothing", "log_scale", "x_axis"]) cleanup.listen(model, `change:${name}`, () => this.redraw());
    cleanup.listen(model, "change:window", () => {
      if (!model.get("window")) this.series.forgetDetails();
      this.redraw();
      this.fetchSoon();
    });
    const theme = new MutationObserver(() => this.redraw());
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
    const size = new ResizeObserver(() => this.redraw());
    size.observe(this.el);
    cleanup.add(() => theme.disconnect());
    cleanup.add(() => size.disconnect());
    cleanup.add(() => this.frame.stop());
    cleanup.add(() => this.kernel.stop());
    cleanup.add(() => {
      clearTimeout(this.drawTimer);
      clearTimeout(this.fetchTimer);
    });
  }

  // --- points ---------------------------------------------------------------------------------------------------------------------------

  takeSnapshot() {
    const { buffers = [], ...snapshot } = /** @type {{ buffers?: DataView[] }} */ (this.model.get("_snapshot"));
    this.series.replace(snapshot, buffers);
    this.redraw();
    this.fetchSoon();
  }

  /** @param {any} message @param {readonly DataView[]} buffers */
  async hear(message, buffers) {
    if (message?.type !== "points") return;
    if (!this.series.add(message, buffers)) {
      const answer = await this.kernel.ask("points");
      this.series.replace(answer.content, answer.buffers);
    }
    this.drawTimer ??= window.setTimeout(() => {
      this.drawTimer = undefined;
      this.redraw();
    }, REDRAW_MS);
  }

  fetchSoon() {
    clearTimeout(this.fetchTimer);
    this.fetchTimer = window.setTimeout(() => void this.fetch(), FETCH_MS);
  }

  /** Ask for what the window shows, unless all of it is here. */
  async fetch() {
    if (!this.model.get("window")) return;
    const range = stepsToFetch(this.keys().flatMap((key) => this.curves(key)), this.window());
    if (!range) return;
    const widest = Math.max(200, ...[...this.plots.values()].map((plot) => plot.innerWidth()));
    const [first, last] = [Math.floor(range[0]), Math.ceil(range[1])];
    const number = ++this.fetches;
    this.isFetching = true;
    this.showState();
    try {
      const { content, buffers } = await this.kernel.ask("detail", { first, last, points: Math.min(MAX_FETCHED_POINTS, 2 * Math.round(widest)) });
      if (number === this.fetches && this.model.get("window")) this.series.addDetail([first, last], /** @type {any} */ (content.series), buffers);
      this.trouble = "";
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
    }
    if (number === this.fetches) this.isFetching = false;
    this.redraw();
  }

  // --- what is shown --------------------------------------------------------------------------------------------------------------------

  /** @param {string} name @param {unknown} value */
  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  changeAxis() {
    this.model.set("window", null);
    this.set("x_axis", this.axisChoice.value);
  }

  /** @returns {"step" | "time"} */
  axis() {
    return this.model.get("x_axis") === "time" ? "time" : "step";
  }

  /** @param {number} x */
  xText(x) {
    return this.axis() === "step" ? `step ${stepText(Math.round(x))}` : `after ${durationText(x)}`;
  }

  /** @returns {readonly string[]} */
  keys() {
    const chosen = /** @type {readonly string[]} */ (this.model.get("_metrics"));
    return chosen.length > 0 ? chosen : this.series.keys();
  }

  /** @returns {readonly Run[]} */
  runs() {
    return /** @type {readonly Run[]} */ (this.model.get("_runs"));
  }

  /** @returns {Set<string>} */
  hidden() {
    return new Set(/** @type {readonly string[]} */ (this.model.get("hidden")));
  }

  /** The lines of a metric. @param {string} key @returns {readonly import("./paint.js").Curve[]} */
  curves(key) {
    const hidden = this.hidden();
    return this.runs().flatMap(({ id, label, colour }) => {
      const line = hidden.has(id) ? undefined : this.series.line(id, key, this.axis());
      return line && line.x.length > 0 ? [{ ...line, label, colour }] : [];
    });
  }

  /** @returns {Window} */
  bounds() {
    /** @type {Window | undefined} */
    let bounds;
    for (const key of this.keys()) {
      for (const { x } of this.curves(key)) bounds = union(bounds, [at(x, 0), at(x, x.length - 1)]);
    }
    const [low, high] = bounds ?? [0, 1];
    return low < high ? [low, high] : [low - 0.5, high + 0.5];
  }

  /** @returns {Window} */
  window() {
    const chosen = /** @type {Window | null} */ (this.model.get("window"));
    return chosen ?? (this.everything ??= this.bounds());
  }

  /** @param {Window | null} window */
  show(window) {
    if (window && !(window[1] > window[0])) return;
    const [low, high] = this.bounds();
    this.set("window", !window || (window[0] <= low && window[1] >= high) ? null : window);
  }

  /** @param {number} center @param {number} factor */
  zoom(center, factor) {
    this.show(zoomed(this.window(), center, factor, this.bounds(), this.axis() === "step" ? 2 : 1e-3));
  }

  /** @param {Plot} plot @param {number | undefined} x */
  hover(plot, x) {
    for (const other of this.plots.values()) other.showCursor(x, other === plot);
  }

  /** @param {number} width @param {number} height @returns {import("./paint.js").Look} */
  look(width, height) {
    const style = getComputedStyle(this.el);
    return {
      window: this.window(),
      axis: this.axis(),
      isLog: this.model.get("log_scale") === true,
      smoothing: Number(this.model.get("smoothing")),
      width,
      height,
      ink: style.color,
      font: style.fontFamily,
    };
  }

  // --- drawing --------------------------------------------------------------------------------------------------------------------------

  redraw() {
    this.frame.soon();
  }

  draw() {
    this.everything = undefined;
    const keys = this.keys();
    for (const [key, plot] of this.plots) {
      if (!keys.includes(key)) {
        plot.figure.remove();
        this.plots.delete(key);
      }
    }
    keys.forEach((key, i) => {
      const plot = this.plots.get(key) ?? new Plot(this, key);
      this.plots.set(key, plot);
      if (this.grid.children[i] !== plot.figure) this.grid.insertBefore(plot.figure, this.grid.children[i] ?? null);
    });
    this.grid.classList.toggle("mbl-single", keys.length === 1);
    for (const plot of this.plots.values()) plot.draw();
    this.smoothing.value = String(this.model.get("smoothing"));
    this.log.checked = this.model.get("log_scale") === true;
    this.axisChoice.value = this.axis();
    this.all.disabled = !this.model.get("window");
    this.showState();
    this.drawValues();
  }

  showState() {
    const running = this.runs().filter((run) => run.status === "running").length;
    const isFollowing = this.model.get("following") === true;
    this.pause.hidden = running === 0;
    this.pause.textContent = isFollowing ? "Pause" : "Follow";
    const parts = [
      running === 0 ? "" : isFollowing ? `live, ${running} running` : "paused",
      this.isFetching ? "fetching detail …" : this.trouble,
      String(this.model.get("_note")),
    ].filter(Boolean);
    const text = parts.join(" · ") || (this.keys().length === 0 ? "nothing logged yet" : "");
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle("mbl-live", running > 0 && isFollowing);
  }

  drawLegend() {
    const hidden = this.hidden();
    const focused = this.legend.querySelector(":focus")?.getAttribute("data-run");
    const toggles = this.runs().map(({ id, label, colour, status }) => {
      const isShown = !hidden.has(id);
      return h(
        "button",
        {
          type: "button",
          "data-run": id,
          "aria-pressed": String(isShown),
          title: `${label} (${status}). Click hides or shows it; Shift and click, or the key O, shows it alone.`,
          click: (/** @type {MouseEvent} */ event) => (event.shiftKey ? this.solo(id) : this.toggle(id)),
          keydown: (/** @type {KeyboardEvent} */ event) => event.key.toLowerCase() === "o" && this.solo(id),
        },
        h("i", { style: `background: ${colour}` }),
        h("span", { class: "mbl-label" }, label),
        status === "finished" ? "" : h("span", { class: "mbw-badge", "data-status": status }, status),
      );
    });
    this.legend.replaceChildren(...toggles);
    toggles.find((one) => one.dataset.run === focused)?.focus();
    this.redraw();
  }

  /** @param {string} id */
  toggle(id) {
    const hidden = this.hidden();
    if (!hidden.delete(id)) hidden.add(id);
    this.set("hidden", [...hidden]);
  }

  /** Show one run alone; when it is alone already, all. @param {string} id */
  solo(id) {
    const others = this.runs().flatMap((run) => (run.id === id ? [] : [run.id]));
    const hidden = this.hidden();
    const isAlone = !hidden.has(id) && others.every((other) => hidden.has(other));
    this.set("hidden", isAlone ? [] : others);
  }

  /** The numbers behind the lines, for people who do not see them. */
  drawValues() {
    if (!this.values.open) return;
    const rows = this.keys().flatMap((key) =>
      this.curves(key).map(({ label, y }) => {
        const [low, high] = extent(y, 0, y.length, false) ?? [NaN, NaN];
        const numbers = [at(y, y.length - 1), low, high].map((value) => h("td", { class: "mbl-number" }, numberText(value)));
        return h("tr", {}, h("td", {}, key), h("td", {}, label), ...numbers);
      }),
    );
    const head = h("tr", {}, ...["metric", "run", "last", "least", "greatest"].map((text) => h("th", { scope: "col" }, text)));
    this.values.replaceChildren(h("summary", {}, "Values"), h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows)));
  }

  // --- files ----------------------------------------------------------------------------------------------------------------------------

  makers() {
    return {
      png: () => this.picture(),
      svg: () => textFile(new XMLSerializer().serializeToString(this.drawing()), "image/svg+xml"),
      html: async () => {
        const { content } = await this.kernel.ask("page");
        return textFile(String(content.html), "text/html");
      },
      csv: () => textFile(this.csv(), "text/csv"),
    };
  }

  /** All plots as one SVG, with names and legend. */
  drawing() {
    const style = getComputedStyle(this.el);
    const text = { fill: style.color, "font-family": style.fontFamily, "font-size": 12 };
    const all = svg("svg", { xmlns: "http://www.w3.org/2000/svg" });
    const origin = this.grid.getBoundingClientRect();
    const legend = svg("g");
    let left = MARGIN.left;
    const hidden = this.hidden();
    for (const { id, label, colour } of this.runs().slice(0, 20)) {
      if (hidden.has(id)) continue;
      legend.append(svg("circle", { cx: left, cy: 12, r: 4, fill: colour }), svg("text", { ...text, x: left + 9, y: 16 }, label.slice(0, 40)));
      left += 30 + 6.5 * Math.min(40, label.length);
    }
    const plots = [...this.plots.values()].map((plot) => {
      const { left: x, top: y, width, height } = plot.canvas.getBoundingClientRect();
      const group = svg("g", { transform: `translate(${x - origin.left},${y - origin.top + 30})` });
      group.append(svg("text", { ...text, x: 8, y: -6, "font-weight": 600 }, plot.key.slice(0, 80)));
      paint(/** @type {any} */ (new SvgPen(group)), this.curves(plot.key), this.look(width, height));
      return group;
    });
    const [width, height] = [Math.max(origin.width, left), origin.height + 40];
    const ground = svg("rect", { width, height, fill: style.getPropertyValue("--jp-layout-color1").trim() || "white" });
    all.append(ground, legend, ...plots);
    all.setAttribute("viewBox", `0 0 ${width} ${height}`);
    all.setAttribute("width", String(width));
    all.setAttribute("height", String(height));
    return all;
  }

  /** @returns {Promise<Blob | undefined>} */
  async picture() {
    const drawing = this.drawing();
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(drawing))}`;
    await image.decode();
    const canvas = h("canvas", { width: Math.ceil(image.width * 2), height: Math.ceil(image.height * 2) });
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? undefined)));
  }

  /** What is drawn now, point by point. */
  csv() {
    const lines = [csvLine(["run", "experiment_id", "metric", this.axis(), "value"])];
    const [low, high] = this.window();
    for (const key of this.keys()) {
      for (const { run, label, x, y } of this.curves(key)) {
        x.forEach((one, i) => {
          if (one >= low && one <= high) lines.push(csvLine([label, run, key, String(one), String(at(y, i))]));
        });
      }
    }
    return `${lines.join("\n")}\n`;
  }
}

export default {
  /** @param {import("./model.js").View} view */
  render(view) {
    const chart = new LiveChart(view);
    return () => chart.cleanup.run();
  },
};
