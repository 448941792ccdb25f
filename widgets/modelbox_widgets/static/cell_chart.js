// The browser's half of modelbox_widgets.CellChart: keeps the points it was sent and draws them.
//
// Points arrive as numbered increments ("msg:custom") and, now and then, all at once (the trait "_snapshot"). Text is only ever set as
// textContent: names of runs and metrics are data, never markup.

/** @typedef {{ readonly id: string, readonly label: string, readonly colour: string }} Run */
/** @typedef {{ readonly run: string, readonly key: string, readonly steps: Float64Array, readonly values: Float64Array }} Series */
/** @typedef {{ readonly run: string, readonly key: string, readonly steps: DataView, readonly values: DataView }} SentSeries */
/** @typedef {{ readonly number?: number, readonly series?: readonly SentSeries[] }} Snapshot */
/** @typedef {{ readonly type?: string, readonly number: number, readonly series: readonly { readonly run: string, readonly key: string }[] }} Increment */
/** @typedef {{ draw(points: Points, runs: readonly Run[]): unknown, stop(): void }} Drawing */
/** @typedef {{ readonly view: { data(name: string, rows: readonly unknown[]): { runAsync(): Promise<unknown> } }, readonly finalize: () => void }} Embedded */
/** @typedef {(el: HTMLElement, spec: unknown, options: Readonly<Record<string, unknown>>) => Promise<Embedded>} Embed */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 280;
const HEIGHT = 150;
const MARGIN = { left: 46, right: 8, top: 8, bottom: 20 };
const REDRAW_MS = 200;
const NOTHING = new DataView(new ArrayBuffer(0));

/**
 * @param {string} name
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {string} [text]
 */
function node(name, attributes = {}, text = undefined) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/** @param {DataView} view */
function floats(view) {
  // A buffer may begin anywhere in a message; Float64Array wants multiples of eight.
  return new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/**
 * @param {Float64Array} a
 * @param {Float64Array} b
 */
function joined(a, b) {
  const all = new Float64Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** @param {number} value */
function label(value) {
  return Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(3)));
}

/** The points of all series, and whether an increment was missed. */
class Points {
  constructor() {
    this.number = 0;
    /** @type {Map<string, Series>} */
    this.series = new Map();
  }

  /** @param {Snapshot} snapshot */
  replace(snapshot) {
    this.number = snapshot.number ?? 0;
    this.series = new Map();
    for (const { run, key, steps, values } of snapshot.series ?? []) {
      this.series.set(JSON.stringify([run, key]), { run, key, steps: floats(steps), values: floats(values) });
    }
  }

  /**
   * Add an increment; false when one before it is missing.
   * @param {Increment} message
   * @param {readonly DataView[]} buffers
   */
  add(message, buffers) {
    if (message.number <= this.number) return true;
    if (message.number !== this.number + 1) return false;
    this.number = message.number;
    message.series.forEach(({ run, key }, i) => {
      const name = JSON.stringify([run, key]);
      const old = this.series.get(name) ?? { run, key, steps: new Float64Array(), values: new Float64Array() };
      const steps = joined(old.steps, floats(buffers[2 * i] ?? NOTHING));
      const values = joined(old.values, floats(buffers[2 * i + 1] ?? NOTHING));
      this.series.set(name, { run, key, steps, values });
    });
    return true;
  }

  byKey() {
    /** @type {Map<string, Series[]>} */
    const keys = new Map();
    for (const one of this.series.values()) keys.set(one.key, [...(keys.get(one.key) ?? []), one]);
    return [...keys.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/**
 * @param {string} key
 * @param {readonly Series[]} series
 * @param {ReadonlyMap<string, string>} colours
 */
function plot(key, series, colours) {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = key;
  const svg = node("svg", { width: WIDTH, height: HEIGHT, role: "img", "aria-label": key });
  figure.append(caption, svg);
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { steps, values } of series) {
    values.forEach((value, i) => {
      if (!Number.isFinite(value)) return;
      const step = steps[i] ?? 0;
      [left, right, low, high] = [Math.min(left, step), Math.max(right, step), Math.min(low, value), Math.max(high, value)];
    });
  }
  if (left > right) return figure;
  const x = (/** @type {number} */ step) => MARGIN.left + ((step - left) / (right - left || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (/** @type {number} */ value) => HEIGHT - MARGIN.bottom - ((value / 2 - low / 2) / (high / 2 - low / 2 || 1)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  for (const value of low === high ? [low] : [low, low / 2 + high / 2, high]) {
    svg.append(node("line", { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y(value), y2: y(value), class: "modelbox-grid" }));
    svg.append(node("text", { x: MARGIN.left - 6, y: y(value) + 3, "text-anchor": "end" }, label(value)));
  }
  for (const step of left === right ? [left] : [left, right]) {
    svg.append(node("text", { x: x(step), y: HEIGHT - 5, "text-anchor": step === left ? "start" : "end" }, label(step)));
  }
  for (const one of series) {
    const stepOf = (/** @type {number} */ i) => one.steps[i] ?? 0;
    const order = Array.from(one.steps.keys()).sort((a, b) => stepOf(a) - stepOf(b));
    let path = "";
    let pen = "M";
    for (const i of order) {
      const value = one.values[i] ?? NaN;
      if (!Number.isFinite(value)) {
        pen = "M";
        continue;
      }
      path += `${pen}${x(stepOf(i)).toFixed(1)},${y(value).toFixed(1)}`;
      pen = "L";
    }
    svg.append(node("path", { d: path, fill: "none", stroke: colours.get(one.run) ?? "#2f7ed8", "stroke-width": 1.6, "stroke-linecap": "round" }));
  }
  return figure;
}

/**
 * Draws by itself: one small plot per metric.
 * @param {HTMLElement} el
 * @returns {Drawing}
 */
function ownDrawing(el) {
  return {
    draw(points, runs) {
      const colours = new Map(runs.map((run) => [run.id, run.colour]));
      const legend = document.createElement("p");
      for (const run of runs) {
        const swatch = document.createElement("i");
        swatch.style.background = run.colour;
        const name = document.createElement("span");
        name.textContent = run.label;
        legend.append(swatch, name);
      }
      el.replaceChildren(legend, ...points.byKey().map(([key, series]) => plot(key, series, colours)));
    },
    stop() {},
  };
}

/**
 * Draws with the Vega that our JupyterLab extension brings.
 * @param {HTMLElement} el
 * @param {() => Promise<Embed>} loader
 * @param {unknown} spec
 * @returns {Promise<Drawing>}
 */
async function vegaDrawing(el, loader, spec) {
  const embed = await loader();
  const { view, finalize } = await embed(el, spec, { actions: false, ast: true, renderer: "svg" });
  return {
    async draw(points, runs) {
      const labels = new Map(runs.map((run) => [run.id, run.label]));
      /** @type {unknown[]} */
      const rows = [];
      for (const { run, key, steps, values } of points.series.values()) {
        values.forEach((value, i) =>
          rows.push({ run: labels.get(run) ?? run, run_id: run, key, step: steps[i], value: Number.isFinite(value) ? value : null }),
        );
      }
      await view.data("points", rows).runAsync();
    },
    stop: finalize,
  };
}

/**
 * @param {HTMLElement} el
 * @param {unknown} spec
 */
async function drawingFor(el, spec) {
  const loader = Reflect.get(globalThis, Symbol.for("modelbox.vega"));
  if (typeof loader === "function") {
    try {
      return await vegaDrawing(el, loader, spec);
    } catch (error) {
      console.warn("ModelBox draws the live chart without Vega:", error);
    }
  }
  return ownDrawing(el);
}

export default {
  /** @param {import("./model").View} view */
  async render({ model, el }) {
    el.classList.add("modelbox-live");
    const points = new Points();
    let drawing = await drawingFor(el, model.get("_spec"));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;

    const draw = () => {
      timer = undefined;
      void drawing.draw(points, /** @type {readonly Run[]} */ (model.get("_runs")));
    };
    const soon = () => {
      timer ??= setTimeout(draw, REDRAW_MS);
    };
    const onSnapshot = () => {
      points.replace(/** @type {Snapshot} */ (model.get("_snapshot")));
      soon();
    };
    const onMessage = (/** @type {Increment} */ message, /** @type {readonly DataView[]} */ buffers) => {
      if (message?.type !== "points") return;
      if (points.add(message, buffers)) soon();
      else model.send({ type: "resync" });
    };
    const onRuns = async () => {
      drawing.stop();
      drawing = await drawingFor(el, model.get("_spec"));
      soon();
    };
    model.on("change:_snapshot", onSnapshot);
    model.on("change:_runs", onRuns);
    model.on("msg:custom", onMessage);
    onSnapshot();
    return () => {
      clearTimeout(timer);
      model.off("change:_snapshot", onSnapshot);
      model.off("change:_runs", onRuns);
      model.off("msg:custom", onMessage);
      drawing.stop();
    };
  },
};
