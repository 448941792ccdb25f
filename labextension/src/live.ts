/**
 * Follows running experiments and feeds a chart, with no kernel involved.
 *
 * Short series grow by what is new; long ones are read thinned, whole, whenever they have grown. Nothing here knows of Vega, Jupyter or the
 * page, so that it can be tested as plain logic.
 */

import type { PointsQuery } from './api';
import { isObject } from './checks';
import type { Experiment, Series } from './decode';
import { rowsFrom, SeenPoints } from './rows';
import type { Row } from './rows';

/** What a chart follows, as the metadata of its output says. */
export interface LiveSettings {
  readonly objects: readonly string[];
  readonly keys: readonly string[] | null;
  readonly intervalMs: number;
  /** A series longer than this is read thinned to half of it; `MAX_POINTS` when left out. */
  readonly maxPoints?: number;
}

/** Where the points come from. */
export interface LiveSource {
  experiment(id: string): Promise<Experiment>;
  counts(objects: readonly string[]): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>>;
  points(query: PointsQuery): Promise<readonly Series[]>;
}

/** State of a followed chart, for people. */
export type LiveState =
  | { readonly kind: 'running' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'waiting'; readonly reason: string }
  | { readonly kind: 'gone'; readonly reason: string };

/** Where the points go. */
export interface LiveSink {
  /** Show these rows and no others. */
  replace(rows: readonly Row[]): Promise<void>;
  /** Show these rows too. */
  insert(rows: readonly Row[]): Promise<void>;
  /** Whether anybody can see the chart now; nothing is asked of the server otherwise. */
  isVisible(): boolean;
  /** The state changed. */
  show(state: LiveState): void;
}

/** Calls back after a while; returns how to cancel it. */
export type Schedule = (callback: () => void, delayMs: number) => () => void;

/** A series longer than this is read thinned. */
export const MAX_POINTS = 4000;
/** To about how many points such a series is thinned. */
export const THINNED_POINTS = MAX_POINTS / 2;
/** Longest pause between two looks, when nothing happens or the server cannot be reached. */
export const MAX_PAUSE_MS = 10_000;

/** Series of the machine and of printed lines; see `modelbox.entities.own_keys`. */
const OWN_PREFIXES = ['system/', 'console/'];

const MIN_INTERVAL_MS = 200;
const STATUS_EVERY_MS = 2000;
/** Statuses of an answer after which asking again is useless: the experiment is gone, or not ours to see. */
const FINAL_STATUSES: ReadonlySet<unknown> = new Set([401, 403, 404, 410, 422]);

/** Read `{"modelbox": {"live": …}}`, the metadata of an output; undefined when it does not ask to be followed. */
export function liveSettings(metadata: unknown): LiveSettings | undefined {
  const live = isObject(metadata) && isObject(metadata.modelbox) ? metadata.modelbox.live : undefined;
  if (!isObject(live) || !isTexts(live.objects) || live.objects.length === 0) {
    return undefined;
  }
  const interval = typeof live.interval_ms === 'number' ? live.interval_ms : 500;
  return { objects: live.objects, keys: isTexts(live.keys) ? live.keys : null, intervalMs: Math.max(MIN_INTERVAL_MS, interval) };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string');
}

/** Calls back by a timer of the page. */
export const byTimeout: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** Follows some experiments until none of them runs any more. */
export class Follower {
  private readonly seen = new SeenPoints();
  private readonly names = new Map<string, string>();
  private readonly running: Set<string>;
  private statusAgeMs = Number.POSITIVE_INFINITY;
  private pauseMs: number;
  private thinned: boolean | undefined;
  private thinnedTotal = -1;
  private readonly maxPoints: number;
  private stopped = false;
  private cancel: () => void = () => undefined;

  constructor(
    private readonly settings: LiveSettings,
    private readonly source: LiveSource,
    private readonly sink: LiveSink,
    private readonly labels: ReadonlyMap<string, string>,
    private readonly schedule: Schedule
  ) {
    this.running = new Set(settings.objects);
    this.pauseMs = settings.intervalMs;
    this.maxPoints = settings.maxPoints ?? MAX_POINTS;
  }

  /** Look for the first time, and go on from there. */
  async start(): Promise<void> {
    await this.look();
  }

  /** Stop for good. */
  stop(): void {
    this.stopped = true;
    this.cancel();
  }

  private async look(): Promise<void> {
    if (this.stopped) {
      return;
    }
    if (!this.sink.isVisible()) {
      this.again(this.settings.intervalMs);
      return;
    }
    try {
      // The status is asked before the points: what was logged before the end is then always among them.
      const ended = await this.refreshStatus();
      const grew = await this.refreshPoints();
      if (this.stopped) {
        return;
      }
      if (ended) {
        this.stop();
        this.sink.show({ kind: 'ended' });
        return;
      }
      this.sink.show({ kind: 'running' });
      this.pauseMs = grew ? this.settings.intervalMs : Math.min(this.pauseMs * 1.2, MAX_PAUSE_MS / 4);
    } catch (error) {
      if (this.stopped || !(error instanceof Error)) {
        return;
      }
      if ('status' in error && FINAL_STATUSES.has(error.status)) {
        this.stop();
        this.sink.show({ kind: 'gone', reason: error.message });
        return;
      }
      this.sink.show({ kind: 'waiting', reason: error.message });
      this.statusAgeMs = Number.POSITIVE_INFINITY;
      this.pauseMs = Math.min(this.pauseMs * 2, MAX_PAUSE_MS);
    }
    this.again(this.pauseMs);
  }

  private again(delayMs: number): void {
    this.statusAgeMs += delayMs;
    this.cancel = this.schedule(() => void this.look(), delayMs);
  }

  private async refreshStatus(): Promise<boolean> {
    if (this.statusAgeMs >= STATUS_EVERY_MS) {
      const experiments = await Promise.all([...this.running].map(id => this.source.experiment(id)));
      for (const { id, name, status } of experiments) {
        this.names.set(id, name);
        if (status !== 'running') {
          this.running.delete(id);
        }
      }
      this.statusAgeMs = 0;
    }
    return this.running.size === 0;
  }

  /** Read what is new; true when there was something. */
  private async refreshPoints(): Promise<boolean> {
    if (this.thinned === undefined) {
      this.thinned = longest(await this.source.counts(this.settings.objects), this.settings.keys) > this.maxPoints;
    }
    return this.thinned ? this.refreshThinned() : this.readNew();
  }

  private async readNew(): Promise<boolean> {
    const { objects, keys } = this.settings;
    const skip = this.seen.skip();
    const series = await this.source.points({ objects, keys, skip });
    if (this.stopped) {
      return false;
    }
    const isFirst = Object.keys(skip).length === 0;
    this.seen.add(series);
    if (this.seen.longest() > this.maxPoints) {
      this.thinned = true;
      return this.refreshThinned();
    }
    const rows = this.rows(series);
    if (rows.length > 0) {
      // The rows that the output was saved with are a picture of the past: the first read takes their place.
      await (isFirst ? this.sink.replace(rows) : this.sink.insert(rows));
    }
    return rows.length > 0;
  }

  private async refreshThinned(): Promise<boolean> {
    const { objects, keys } = this.settings;
    const total = sum(await this.source.counts(objects), keys);
    if (total === this.thinnedTotal) {
      return false;
    }
    const series = await this.source.points({ objects, keys, maxPoints: this.maxPoints / 2 });
    if (this.stopped) {
      return false;
    }
    await this.sink.replace(this.rows(series));
    this.thinnedTotal = total;
    return true;
  }

  /** Rows of what the chart shows: with no keys asked for, everything but what ModelBox logs by itself. */
  private rows(series: readonly Series[]): Row[] {
    const { keys } = this.settings;
    const shown = keys === null ? series.filter(({ key }) => !isOwnSeries(key)) : series;
    return rowsFrom(shown, id => this.label(id));
  }

  private label(id: string): string {
    const known = this.labels.get(id);
    if (known !== undefined) {
      return known;
    }
    const name = this.names.get(id) ?? id.slice(0, 8);
    const isShared = [...this.names].some(([other, otherName]) => other !== id && otherName === name);
    return isShared ? `${name} (${id.slice(0, 8)})` : name;
  }
}

/** Whether ModelBox itself logs under a key. */
export function isOwnSeries(key: string): boolean {
  return OWN_PREFIXES.some(prefix => key.startsWith(prefix));
}

function lengths(counts: ReadonlyMap<string, ReadonlyMap<string, number>>, keys: readonly string[] | null): number[] {
  return [...counts.values()].flatMap(series => [...series].filter(([key]) => keys === null || keys.includes(key)).map(([, points]) => points));
}

function longest(counts: ReadonlyMap<string, ReadonlyMap<string, number>>, keys: readonly string[] | null): number {
  return Math.max(0, ...lengths(counts, keys));
}

function sum(counts: ReadonlyMap<string, ReadonlyMap<string, number>>, keys: readonly string[] | null): number {
  return lengths(counts, keys).reduce((total, points) => total + points, 0);
}
