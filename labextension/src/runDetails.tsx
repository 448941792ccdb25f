/**
 * What the panel shows of one run when it is opened.
 */

import * as React from 'react';

import type { Run } from './decode';
import type { PanelActions } from './panelView';
import { codeFor, entries, formatDuration, formatNumber, formatValue, tags } from './runs';

interface RunDetailsProps {
  readonly id: string;
  readonly run: Run;
  readonly now: Date;
  readonly actions: PanelActions;
}

/** Facts, parameters and metrics of a run, and what can be done with it. */
export function RunDetails({ id, run, now, actions }: RunDetailsProps): React.JSX.Element {
  const [done, setDone] = React.useState('');
  const end = run.finishedAt ?? now;
  const facts: [string, string][] = [
    ['status', run.status],
    ['started', run.startedAt.toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })],
    ['took', formatDuration(Math.max(0, (end.getTime() - run.startedAt.getTime()) / 1000))],
    ['owner', run.owner],
    ['group', run.group],
    ['framework', run.framework]
  ];
  const labels = tags(run);
  return (
    <div id={id} className="mb-Details">
      {labels.length > 0 && (
        <p className="mb-Details-tags" aria-label="Tags">
          {labels.map(label => (
            <span key={label}>{label}</span>
          ))}
        </p>
      )}
      <Facts title="Run" facts={facts.filter(([, value]) => value)} />
      <Facts title="Parameters" facts={entries(run, 'params.').map(([name, value]) => [name, formatValue(value)])} />
      {run.metrics.length > 0 && <Metrics run={run} />}
      <p className="mb-Panel-actions">
        <button type="button" onClick={() => void actions.onInsert(codeFor(run)).then(setDone)}>
          Insert code
        </button>
        <button type="button" onClick={() => setDone(actions.onCopy(run.id))} title={run.id}>
          Copy id
        </button>
        <span role="status">{done}</span>
      </p>
    </div>
  );
}

function Facts({ title, facts }: { readonly title: string; readonly facts: readonly (readonly [string, string])[] }): React.JSX.Element | null {
  if (facts.length === 0) {
    return null;
  }
  return (
    <table>
      <caption>{title}</caption>
      <tbody>
        {facts.map(([name, value]) => (
          <tr key={name}>
            <th scope="row" title={name}>
              {name}
            </th>
            <td title={value}>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Metrics({ run }: { readonly run: Run }): React.JSX.Element {
  const number = (value: number | string | null): string => (typeof value === 'number' ? formatNumber(value) : (value ?? '–'));
  return (
    <table className="mb-Details-metrics">
      <caption>Metrics</caption>
      <thead>
        <tr>
          <td />
          <th scope="col">last</th>
          <th scope="col">min</th>
          <th scope="col">max</th>
        </tr>
      </thead>
      <tbody>
        {run.metrics.map((metric, i) => (
          <tr key={i}>
            <th scope="row" title={`${metric.key}: ${metric.count} points`}>
              {metric.key}
            </th>
            <td>{number(metric.last)}</td>
            <td>{number(metric.min)}</td>
            <td>{number(metric.max)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
