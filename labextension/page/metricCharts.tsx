/**
 * Charts of metrics, one per key, that grow while their runs run.
 */

import * as React from 'react';

import { Chart } from '../src/chart';
import { byTimeout, Follower } from '../src/live';
import type { LiveSink, LiveState } from '../src/live';
import type { Row } from '../src/rows';
import { curveSpec } from './curves';
import type { Axis } from './curves';
import type { PageApi } from './pageApi';

/** How often a few curves are asked for; many are asked for less often. */
const INTERVAL_MS = 700;
const FEW_CURVES = 12;
/** More points than pixels are no help. */
const MOST_POINTS = 1000;

/** Rows for many charts, each of which takes those of its own key. */
export class Feed implements LiveSink {
  private readonly rows = new Map<string, Row[]>();
  private readonly charts = new Map<string, Chart>();

  constructor(private readonly onState: (state: LiveState) => void) {}

  /** The rows that are known of a key. */
  rowsOf(key: string): readonly Row[] {
    return this.rows.get(key) ?? [];
  }

  /** Let a chart take the rows of a key from now on; returns how to end that. */
  connect(key: string, chart: Chart): () => void {
    this.charts.set(key, chart);
    return () => this.charts.delete(key);
  }

  async replace(rows: readonly Row[]): Promise<void> {
    this.rows.clear();
    this.keep(rows);
    await Promise.all([...this.charts].map(([key, chart]) => chart.put(this.rowsOf(key), true)));
  }

  async insert(rows: readonly Row[]): Promise<void> {
    const fresh = this.keep(rows);
    await Promise.all([...fresh].map(([key, added]) => this.charts.get(key)?.put(added, false)));
  }

  isVisible(): boolean {
    return !document.hidden;
  }

  show(state: LiveState): void {
    this.onState(state);
  }

  private keep(rows: readonly Row[]): Map<string, Row[]> {
    const fresh = new Map<string, Row[]>();
    for (const row of rows) {
      for (const byKey of [this.rows, fresh]) {
        const known = byKey.get(row.key);
        if (known) {
          known.push(row);
        } else {
          byKey.set(row.key, [row]);
        }
      }
    }
    return fresh;
  }
}

interface MetricChartsProps {
  readonly api: PageApi;
  /** Runs by id, with what each is called. */
  readonly runs: ReadonlyMap<string, string>;
  readonly keys: readonly string[];
  readonly isLog: boolean;
  readonly axis: Axis;
  readonly height?: number;
}

/** Charts of some metrics of some runs, fed by one follower. */
export function MetricCharts({ api, runs, keys, isLog, axis, height = 170 }: MetricChartsProps): React.JSX.Element {
  const [state, setState] = React.useState<LiveState>({ kind: 'running' });
  const [feed, setFeed] = React.useState<Feed>();
  const about = JSON.stringify([...runs, keys]);
  React.useEffect(() => {
    if (keys.length === 0) {
      return undefined;
    }
    const made = new Feed(setState);
    const intervalMs = INTERVAL_MS * Math.ceil((keys.length * runs.size) / FEW_CURVES);
    const settings = { objects: [...runs.keys()], keys, intervalMs, maxPoints: MOST_POINTS };
    const follower = new Follower(settings, api, made, runs, byTimeout);
    setFeed(made);
    void follower.start();
    return () => follower.stop();
    // The text of what is followed stands for it.
  }, [api, about]);
  const labels = [...runs.values()];
  return (
    <>
      {'reason' in state && (
        <p className="mb-error" role="status">
          {state.reason}
        </p>
      )}
      <div className="mb-charts" data-live={state.kind === 'running'}>
        {feed && keys.map(key => <MetricChart key={key} name={key} feed={feed} labels={labels} isLog={isLog} axis={axis} height={height} />)}
      </div>
    </>
  );
}

interface MetricChartProps {
  readonly name: string;
  readonly feed: Feed;
  readonly labels: readonly string[];
  readonly isLog: boolean;
  readonly axis: Axis;
  readonly height: number;
}

/** One chart, drawn when it comes into sight for the first time. */
function MetricChart({ name, feed, labels, isLog, axis, height }: MetricChartProps): React.JSX.Element {
  const place = React.useRef<HTMLDivElement>(null);
  const [isSeen, setSeen] = React.useState(false);
  const look = JSON.stringify([labels, isLog, axis, height]);
  React.useEffect(() => {
    const sight = new IntersectionObserver(entries => setSeen(seen => seen || entries.some(entry => entry.isIntersecting)), {
      rootMargin: '200px'
    });
    if (place.current) {
      sight.observe(place.current);
    }
    return () => sight.disconnect();
  }, []);
  React.useEffect(() => {
    if (!isSeen) {
      return undefined;
    }
    const chart = new Chart();
    place.current?.replaceChildren(chart.node);
    void chart.show(curveSpec({ runs: labels, height, isLog, axis }), true, feed.rowsOf(name));
    const disconnect = feed.connect(name, chart);
    return () => {
      disconnect();
      chart.dispose();
    };
  }, [isSeen, feed, name, look]);
  return (
    <figure className="mb-card">
      <figcaption title={name}>{name}</figcaption>
      <div ref={place} className="mb-chart-place" style={{ minHeight: height + 30 }} />
    </figure>
  );
}
