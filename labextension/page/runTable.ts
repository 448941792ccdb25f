/**
 * Many runs, column by column, as the grid draws them. Pure.
 *
 * A run keeps its row for good, so that selections survive updates; which rows are shown, and in which order, is a list of its own. Names of
 * columns are those of the DataFrame: `params.lr`, `metrics.loss.min`.
 */

import { Column } from '../../widgets/modelbox_widgets/static/runs_data.js';
import type { Experiment, FrameColumns } from '../src/decode';
import { isOwnSeries } from '../src/live';
import { byWeight, formatValue } from '../src/runs';

/** What is known of a column without looking at its values. */
export interface Head {
  readonly name: string;
  readonly label: string;
  readonly kind: 'integer' | 'number' | 'seconds' | 'text' | 'time';
  readonly group: 'run' | 'setting' | 'metric';
  readonly mode: 'min' | 'max' | null;
}

type Summary = 'last' | 'min' | 'max';

const LEADING = ['name', 'status', 'started_at', 'duration_s'];
const TRAILING = ['namespace', 'owner', 'group', 'framework', 'finished_at', 'id'];
const LABELS: Readonly<Record<string, string>> = { started_at: 'started', duration_s: 'took', finished_at: 'finished' };
const SUMMARIES: readonly Summary[] = ['last', 'min', 'max'];
const [MOST_SETTINGS, MOST_METRICS] = [6, 4];
/** Metadata that says how a run came about rather than how it was set up. */
const PROVENANCE = /^(?:environment|git|cell|source|notebook|host|system|console|process|progress)\b/;
// As in `modelbox_widgets.runs`.
const SMALLER =
  /^(?:loss|losses|err|errors?|mse|rmse|mae|mape|nll|perplexity|ppl|wer|cer|fid|brier|regret|cost|latency|time|duration|seconds)$/;
const GREATER =
  /^(?:accuracy|acc|f1|fbeta|auc|auroc|auprc|precision|recall|sensitivity|specificity|score|r2|bleu|rouge|map|ndcg|iou|dice|reward|return|throughput|likelihood|psnr|ssim)$/;

/** Values of one column, and what all of them have in common. */
class Values {
  readonly cells: unknown[] = [];
  isNumeric = true;
  isInteger = true;
  differs = false;
  private first: string | undefined;
  private known = 0;

  set(row: number, value: unknown): boolean {
    const before = this.cells[row];
    if (before === value || (typeof value === 'object' && value !== null && JSON.stringify(before) === JSON.stringify(value))) {
      return false;
    }
    if (before === undefined) {
      this.known++;
    }
    this.cells[row] = value;
    const number = numberOf(value);
    this.isNumeric &&= number !== undefined;
    this.isInteger &&= number !== undefined && Number.isSafeInteger(number);
    if (!this.differs) {
      const text = formatValue(value);
      this.first ??= text;
      this.differs = text !== this.first;
    }
    return true;
  }

  /** Whether it tells `rows` runs apart: values that differ, or that some lack. */
  tellsApart(rows: number): boolean {
    return this.differs || this.known < rows;
  }
}

/** Runs and their columns. */
export class RunTable {
  readonly experiments: Experiment[] = [];
  /** The rows that are shown, in the order in which the server has them. */
  order: readonly number[] = [];
  /** Grows with every change that can be seen. */
  version = 0;
  private readonly rowOfId = new Map<string, number>();
  private readonly settings = new Map<string, Values>();
  private readonly metrics: Record<Summary, Map<string, Values>> = { last: new Map(), min: new Map(), max: new Map() };
  private readonly shown = new Map<string, { readonly kind: string; readonly values: Values }>();
  private readonly columns = new Map<string, Column>();
  private columnsVersion = -1;

  /** Take in a page; returns the rows of its runs, in its order. */
  add(frame: FrameColumns): readonly number[] {
    let isChanged = false;
    const rows = frame.experiments.map(experiment => {
      let row = this.rowOfId.get(experiment.id);
      if (row === undefined) {
        row = this.experiments.length;
        this.rowOfId.set(experiment.id, row);
      }
      isChanged ||= !same(this.experiments[row], experiment);
      this.experiments[row] = experiment;
      return row;
    });
    const put = (columns: Map<string, Values>, key: string, at: number, value: unknown): void => {
      const row = rows[at];
      if (row !== undefined) {
        isChanged = valuesOf(columns, key).set(row, value) || isChanged;
      }
    };
    const { metadata, metrics, shown } = frame;
    metadata.row.forEach((at, i) => put(this.settings, metadata.key[i] ?? '', at, metadata.value[i]));
    metrics.row.forEach((at, i) => {
      const key = metrics.key[i] ?? '';
      put(this.metrics.last, key, at, metrics.last[i]);
      put(this.metrics.min, key, at, metrics.min[i]);
      put(this.metrics.max, key, at, metrics.max[i]);
    });
    for (const { label, kind, values } of shown) {
      const column = this.shown.get(label) ?? { kind, values: new Values() };
      this.shown.set(label, column);
      values.forEach((value, at) => {
        const row = rows[at];
        if (row !== undefined && value !== null) {
          isChanged = column.values.set(row, shownValue(kind, value)) || isChanged;
        }
      });
    }
    this.version += Number(isChanged);
    return rows;
  }

  /** Show these rows, in this order. */
  arrange(order: readonly number[]): void {
    if (order.length !== this.order.length || order.some((row, i) => row !== this.order[i])) {
      this.order = order;
      this.version++;
    }
  }

  /** The row of a run. */
  row(id: string): number | undefined {
    return this.rowOfId.get(id);
  }

  /** Every column that there is. */
  heads(): readonly Head[] {
    if (this.shown.size > 0) {
      return [this.head('name'), ...[...this.shown.keys()].map(label => this.head(`show:${label}`))];
    }
    const metrics = [...this.metrics.last.keys()].filter(key => !isOwnSeries(key)).sort(byWeight);
    const names = [
      ...LEADING,
      ...[...this.settings.keys()].sort(bySetting),
      ...metrics.flatMap(key => SUMMARIES.map(summary => `metrics.${key}.${summary}`)),
      ...TRAILING
    ];
    return names.map(name => this.head(name));
  }

  /** What to show first: what the runs are called, what differs between them, and what tells most of how they ended. */
  defaultColumns(): readonly string[] {
    if (this.shown.size > 0) {
      return this.heads().map(head => head.name);
    }
    const rows = this.experiments.length;
    const settings = [...this.settings]
      .filter(([name, values]) => rows > 1 && values.tellsApart(rows) && !PROVENANCE.test(name))
      .map(([name]) => name)
      .sort(bySetting);
    const metrics = [...this.metrics.last]
      .filter(([key, values]) => values.isNumeric && !isOwnSeries(key))
      .map(([key]) => key)
      .sort(byWeight);
    const namespaces = new Set(this.experiments.map(experiment => experiment.namespace));
    return [
      'name',
      'status',
      'started_at',
      ...settings.slice(0, MOST_SETTINGS),
      ...metrics.slice(0, MOST_METRICS).map(key => `metrics.${key}.last`),
      'duration_s',
      ...(namespaces.size > 1 ? ['namespace'] : [])
    ];
  }

  /** A column with its values, or undefined where no run has it. */
  column(name: string): Column | undefined {
    if (this.columnsVersion !== this.version) {
      this.columns.clear();
      this.columnsVersion = this.version;
    }
    let column = this.columns.get(name);
    if (column === undefined) {
      const read = this.reader(name);
      column = read && pack(this.head(name), this.experiments.length, read);
      if (column) {
        this.columns.set(name, column);
      }
    }
    return column;
  }

  private head(name: string): Head {
    const label = LABELS[name] ?? name;
    const metric = metricOf(name);
    if (metric) {
      const values = this.metrics[metric.summary].get(metric.key);
      const kind = values?.isNumeric === false ? 'text' : 'number';
      const suffix = metric.summary === 'last' ? '' : ` ${metric.summary}`;
      return { name, label: `${metric.key}${suffix}`, kind, group: 'metric', mode: polarity(metric.key) };
    }
    if (name.startsWith('show:')) {
      const { kind = 'value', values } = this.shown.get(name.slice('show:'.length)) ?? {};
      const kinds: Readonly<Record<string, Head['kind']>> = { time: 'time', duration: 'seconds' };
      return { name, label: name.slice('show:'.length), kind: kinds[kind] ?? kindOf(values), group: 'run', mode: null };
    }
    if (LEADING.includes(name) || TRAILING.includes(name)) {
      const kind = name.endsWith('_at') ? 'time' : name === 'duration_s' ? 'seconds' : 'text';
      return { name, label, kind, group: 'run', mode: null };
    }
    return { name, label: name.replace(/^(?:params|tags)\./, ''), kind: kindOf(this.settings.get(name)), group: 'setting', mode: null };
  }

  private reader(name: string): ((row: number) => unknown) | undefined {
    const metric = metricOf(name);
    const values = metric
      ? this.metrics[metric.summary].get(metric.key)
      : name.startsWith('show:')
        ? this.shown.get(name.slice('show:'.length))?.values
        : this.settings.get(name);
    if (values) {
      return row => values.cells[row];
    }
    const fields: Readonly<Record<string, (experiment: Experiment) => unknown>> = {
      name: experiment => experiment.name,
      status: experiment => experiment.status,
      started_at: experiment => experiment.startedAt.getTime(),
      finished_at: experiment => experiment.finishedAt?.getTime(),
      duration_s: ({ startedAt, finishedAt }) => finishedAt && (finishedAt.getTime() - startedAt.getTime()) / 1000,
      namespace: experiment => experiment.namespace,
      owner: experiment => experiment.owner || undefined,
      group: experiment => experiment.group || undefined,
      framework: experiment => experiment.framework || undefined,
      id: experiment => experiment.id
    };
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    return field && (row => (this.experiments[row] ? field(this.experiments[row]) : undefined));
  }
}

/** Whether smaller or greater values of a metric are better, by its name; null where the name does not tell. */
export function polarity(key: string): 'min' | 'max' | null {
  const words = key.match(/[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*/g) ?? [];
  for (const word of words.map(one => one.toLowerCase()).reverse()) {
    if (SMALLER.test(word)) {
      return 'min';
    }
    if (GREATER.test(word)) {
      return 'max';
    }
  }
  return null;
}

function metricOf(name: string): { readonly key: string; readonly summary: Summary } | undefined {
  const match = /^metrics\.(.*)\.(last|min|max)$/s.exec(name);
  const summary = SUMMARIES.find(known => known === match?.[2]);
  return match?.[1] !== undefined && summary ? { key: match[1], summary } : undefined;
}

function valuesOf(columns: Map<string, Values>, key: string): Values {
  const known = columns.get(key) ?? new Values();
  columns.set(key, known);
  return known;
}

function bySetting(a: string, b: string): number {
  const rank = (name: string): number => (name.startsWith('params.') ? 0 : name.startsWith('tags.') ? 1 : 2);
  return rank(a) - rank(b) || a.localeCompare(b);
}

function kindOf(values: Values | undefined): Head['kind'] {
  return !values?.isNumeric ? 'text' : values.isInteger ? 'integer' : 'number';
}

/** A number, or one of the words by which numbers that are not finite travel in metadata. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') {
    return value;
  }
  if (typeof value === 'object' && value !== null && '$float' in value) {
    return Number(value.$float);
  }
  return undefined;
}

/** Times and durations of the query language travel as microseconds. */
function shownValue(kind: string, value: unknown): unknown {
  return typeof value !== 'number' ? value : kind === 'time' ? value / 1000 : kind === 'duration' ? value / 1e6 : value;
}

function pack(head: Head, height: number, read: (row: number) => unknown): Column {
  if (head.kind !== 'text') {
    const numbers = new Float64Array(height);
    const absent = new Uint8Array(height);
    for (let row = 0; row < height; row++) {
      const number = numberOf(read(row));
      numbers[row] = number ?? NaN;
      absent[row] = number === undefined ? 1 : 0;
    }
    return new Column(head, null, new DataView(numbers.buffer), absent);
  }
  const codes = new Int32Array(height);
  const texts = new Map<string, number>();
  for (let row = 0; row < height; row++) {
    const value = read(row);
    const text = value === undefined || value === null ? undefined : formatValue(value);
    const code = text === undefined ? -1 : (texts.get(text) ?? texts.size);
    codes[row] = code;
    if (text !== undefined) {
      texts.set(text, code);
    }
  }
  return new Column(head, [...texts.keys()], new DataView(codes.buffer));
}

function same(a: Experiment | undefined, b: Experiment): boolean {
  return a !== undefined && a.status === b.status && a.name === b.name && a.finishedAt?.getTime() === b.finishedAt?.getTime() && a.owner === b.owner;
}
