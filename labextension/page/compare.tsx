/**
 * Experiments side by side: only what differs, and the curves of a metric.
 */

import * as React from 'react';

import { runsOf } from '../src/decode';
import type { Run } from '../src/decode';
import { isOwnSeries } from '../src/live';
import { byWeight, formatNumber } from '../src/runs';
import { comparison } from './comparison';
import type { Line } from './comparison';
import { colourAt } from './curves';
import { go, useAnswer } from './hooks';
import type { ViewProps } from './hooks';
import { MetricCharts } from './metricCharts';
import { ChartBar, Status, Trouble, useChartLook, useTitle } from './parts';
import { hashOf } from './router';
import type { Route } from './router';

type CompareRoute = Extract<Route, { page: 'compare' }>;

/** The comparison of the experiments in the address. */
export function ComparePage({ route, api }: ViewProps & { readonly route: CompareRoute }): React.JSX.Element {
  useTitle('Compare');
  const look = useChartLook();
  const [isAll, setAll] = React.useState(false);
  const [everyS, setEveryS] = React.useState(3);
  const { value: runs, error } = useAnswer(
    async () => inOrder(runsOf(await api.frame({ ids: route.ids, limit: Math.max(1, route.ids.length) })), route.ids),
    [api, route.ids.join()],
    everyS
  );
  React.useEffect(() => setEveryS(runs?.every(run => run.status !== 'running') ? 0 : 3), [runs]);
  if (!runs) {
    return (
      <div className="mb-page">
        {error === undefined ? <p className="mb-note">Looking for the experiments …</p> : <Trouble error={error} />}
      </div>
    );
  }
  const missing = route.ids.length - runs.length;
  const keys = [...new Set(runs.flatMap(run => run.metrics.filter(metric => typeof metric.last !== 'string').map(metric => metric.key)))]
    .filter(key => !isOwnSeries(key))
    .sort(byWeight);
  const metric = keys.includes(route.metric) ? route.metric : keys[0];
  const labels = labelsOf(runs);
  const { settings, metrics, alike } = comparison(runs);
  return (
    <div className="mb-page">
      <h1>Compare {runs.length} experiments</h1>
      <Trouble error={error} />
      {missing > 0 && (
        <p className="mb-error" role="status">
          {missing === 1 ? 'One of them is' : `${missing} of them are`} no longer there, or not yours to see.
        </p>
      )}
      {metric !== undefined && (
        <section className="mb-section" aria-label="Curves">
          <ChartBar look={look}>
            <label>
              Metric{' '}
              <select value={metric} onChange={event => go({ ...route, metric: event.target.value }, true)}>
                {keys.map(key => (
                  <option key={key}>{key}</option>
                ))}
              </select>
            </label>
          </ChartBar>
          <MetricCharts api={api} runs={labels} keys={[metric]} isLog={look.isLog} axis={look.axis} height={300} />
          <ul className="mb-legend">
            {[...labels].map(([id, label], i) => (
              <li key={id} title={label}>
                <Swatch place={i} />
                {label}
              </li>
            ))}
          </ul>
        </section>
      )}
      <div className="mb-scroll">
        <table className="mb-table mb-compare" aria-label="What differs">
          <thead>
            <tr>
              <td />
              {runs.map((run, i) => (
                <th key={run.id} scope="col">
                  <a href={hashOf({ page: 'experiment', id: run.id, tab: 'overview' })} title={run.name}>
                    <Swatch place={i} />
                    {labels.get(run.id)}
                  </a>
                  <Status status={run.status} />
                </th>
              ))}
            </tr>
          </thead>
          <Lines title="Metrics, last values" lines={metrics} columns={runs.length} />
          <Lines title="What differs" lines={settings} columns={runs.length} />
          {isAll && <Lines title="What is the same" lines={alike} columns={runs.length} />}
        </table>
      </div>
      {settings.length === 0 && <p className="mb-note">They were set up alike.</p>}
      {alike.length > 0 && (
        <button type="button" className="mb-quiet" aria-pressed={isAll} onClick={() => setAll(!isAll)}>
          {isAll ? 'Hide what is the same' : `Show what is the same (${alike.length})`}
        </button>
      )}
    </div>
  );
}

function Lines({ title, lines, columns }: { readonly title: string; readonly lines: readonly Line[]; readonly columns: number }): React.JSX.Element | null {
  if (lines.length === 0) {
    return null;
  }
  return (
    <tbody>
      <tr className="mb-group">
        <th scope="rowgroup" colSpan={columns + 1}>
          {title}
        </th>
      </tr>
      {lines.map(line => (
        <tr key={line.name}>
          <th scope="row" title={line.name}>
            {line.label}
          </th>
          {line.cells.map((cell, i) => (
            <td key={i} className={i === line.best ? 'mb-best' : undefined} title={typeof cell === 'number' ? String(cell) : cell}>
              {typeof cell === 'number' ? formatNumber(cell) : cell}
            </td>
          ))}
        </tr>
      ))}
    </tbody>
  );
}

function Swatch({ place }: { readonly place: number }): React.JSX.Element {
  return <span className="mb-swatch" style={{ background: colourAt(place) }} aria-hidden="true" />;
}

function inOrder(runs: readonly Run[], ids: readonly string[]): readonly Run[] {
  const byId = new Map(runs.map(run => [run.id, run]));
  return ids.flatMap(id => byId.get(id) ?? []);
}

/** What each run is called: its name, with the first digits of its id where a name is not unique. */
function labelsOf(runs: readonly Run[]): ReadonlyMap<string, string> {
  const isShared = (run: Run): boolean => runs.some(other => other.id !== run.id && other.name === run.name);
  return new Map(runs.map(run => [run.id, isShared(run) ? `${run.name} (${run.id.slice(0, 8)})` : run.name]));
}
