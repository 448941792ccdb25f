/**
 * One experiment: how it stands, how it was set up, what it measured, and what hangs on it.
 */

import * as React from 'react';

import { runsOf } from '../src/decode';
import type { Run } from '../src/decode';
import { isOwnSeries } from '../src/live';
import { byWeight, codeFor, entries, formatDuration, formatNumber, formatValue, tags } from '../src/runs';
import { ArtifactList } from './artifacts';
import { useAnswer } from './hooks';
import type { ViewProps } from './hooks';
import { History } from './history';
import { MetricCharts } from './metricCharts';
import type { PageApi } from './pageApi';
import { all } from './pageApi';
import { ChartBar, CopyButton, Facts, Moment, Status, Trouble, useChartLook, useTitle } from './parts';
import type { Checkpoint } from './records';
import { hashOf } from './router';
import type { Route, Tab } from './router';

type ExperimentRoute = Extract<Route, { page: 'experiment' }>;

const [RUNNING_S, ENDED_S] = [2, 15];
const LONG_TEXT = 160;
const LONGEST_TEXT = 100_000;
const TABS: readonly (readonly [Tab, string])[] = [
  ['overview', 'Overview'],
  ['artifacts', 'Artifacts'],
  ['history', 'Events and changes']
];

/** Everything about one experiment. */
export function ExperimentPage({ route, api }: ViewProps & { readonly route: ExperimentRoute }): React.JSX.Element {
  const [everyS, setEveryS] = React.useState(RUNNING_S);
  const { value: run, error } = useAnswer(() => readRun(api, route.id), [api, route.id], everyS);
  React.useEffect(() => setEveryS(run && run.status !== 'running' ? ENDED_S : RUNNING_S), [run]);
  useTitle(run?.name ?? '');
  if (!run) {
    return (
      <div className="mb-page">
        <Trouble error={error} />
        {error === undefined && <p className="mb-note">Looking for the experiment …</p>}
        <a href={hashOf({ page: 'experiments', query: '', sort: '', columns: [] })}>All experiments</a>
      </div>
    );
  }
  return (
    <div className="mb-page">
      <Trouble error={error} />
      <Head run={run} />
      <nav className="mb-tabs" aria-label="Parts of the experiment">
        {TABS.map(([tab, title]) => (
          <a key={tab} href={hashOf({ ...route, tab })} aria-current={tab === route.tab ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
      {route.tab === 'overview' && <Overview run={run} api={api} />}
      {route.tab === 'artifacts' && <RunArtifacts run={run} api={api} />}
      {route.tab === 'history' && <History api={api} objectId={run.id} isRunning={run.status === 'running'} />}
    </div>
  );
}

async function readRun(api: PageApi, id: string): Promise<Run> {
  const [run] = runsOf(await api.frame({ ids: [id], limit: 1, long: true }));
  if (run) {
    return run;
  }
  const experiment = await api.experiment(id); // which says best what is wrong
  return { ...experiment, metadata: new Map(), metrics: [] };
}

function Head({ run }: { readonly run: Run }): React.JSX.Element {
  const labels = tags(run);
  const tookS = ((run.finishedAt ?? new Date()).getTime() - run.startedAt.getTime()) / 1000;
  return (
    <header className="mb-head">
      <h1 title={run.name}>{run.name}</h1>
      <p>
        <Status status={run.status} />
        <span>
          started <Moment at={run.startedAt} />
        </span>
        <span>took {formatDuration(Math.max(0, tookS))}</span>
        <span title="Namespace">{run.namespace}</span>
        {run.owner && <span title="Owner">{run.owner}</span>}
        {labels.map(label => (
          <span key={label} className="mb-tag">
            {label}
          </span>
        ))}
      </p>
      <p className="mb-actions">
        <CopyButton text={codeFor(run)} label="Copy Python" />
        <CopyButton text={run.id} label="Copy id" />
      </p>
    </header>
  );
}

function Overview({ run, api }: { readonly run: Run; readonly api: PageApi }): React.JSX.Element {
  const look = useChartLook();
  const numeric = run.metrics.filter(metric => typeof metric.last !== 'string').map(metric => metric.key);
  const keys = numeric.filter(key => !isOwnSeries(key)).sort(byWeight);
  const texts = run.metrics.filter(metric => typeof metric.last === 'string' && !isOwnSeries(metric.key)).map(metric => metric.key);
  const machine = numeric.filter(isOwnSeries).sort();
  const [isOpen, setOpen] = React.useState(false);
  const runs = React.useMemo(() => new Map([[run.id, run.name]]), [run.id, run.name]);
  return (
    <div className="mb-columns">
      <aside>
        <Setup run={run} />
      </aside>
      <div>
        {keys.length + texts.length > 0 ? (
          <section aria-label="Metrics">
            {keys.length > 0 && <ChartBar look={look} />}
            <MetricCharts api={api} runs={runs} keys={keys} isLog={look.isLog} axis={look.axis} />
            <MetricTable run={run} keys={[...keys, ...texts]} />
          </section>
        ) : (
          <p className="mb-note">
            {run.status === 'running' ? 'No metrics yet: they appear here as soon as the run logs some.' : 'This experiment logged no metrics.'}
          </p>
        )}
        <Checkpoints run={run} api={api} />
        {machine.length > 0 && (
          <details className="mb-section" onToggle={event => setOpen(event.currentTarget.open)}>
            <summary>Machine ({machine.length})</summary>
            {isOpen && <MetricCharts api={api} runs={runs} keys={machine} isLog={false} axis={look.axis} height={110} />}
          </details>
        )}
      </div>
    </div>
  );
}

function Setup({ run }: { readonly run: Run }): React.JSX.Element {
  const params = entries(run, 'params.').map(([name, value]) => [name, formatValue(value)] as const);
  const others = [...run.metadata].filter(([key]) => !/^(?:params|tags)\./.test(key)).sort(([a], [b]) => a.localeCompare(b));
  const short = others.filter(([, value]) => !isLong(value)).map(([key, value]) => [key, formatValue(value)] as const);
  const facts: [string, string][] = [
    ['started', run.startedAt.toLocaleString()],
    ['finished', run.finishedAt?.toLocaleString() ?? ''],
    ['owner', run.owner],
    ['group', run.group],
    ['framework', run.framework],
    ['id', run.id]
  ];
  return (
    <>
      {params.length > 0 && <h2>Parameters</h2>}
      <Facts label="Parameters" facts={params} />
      <h2>Run</h2>
      <Facts label="Run" facts={facts.filter(([, value]) => value)} />
      {others.length > 0 && <h2>Metadata</h2>}
      <Facts label="Metadata" facts={short} />
      {others
        .filter(([, value]) => isLong(value))
        .map(([key, value]) => (
          <details key={key} className="mb-long">
            <summary>{key}</summary>
            <pre>{longText(value)}</pre>
          </details>
        ))}
    </>
  );
}

function isLong(value: unknown): boolean {
  return formatValue(value).length > LONG_TEXT;
}

function longText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, undefined, 2);
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}\n… ${text.length - LONGEST_TEXT} more characters` : text;
}

function MetricTable({ run, keys }: { readonly run: Run; readonly keys: readonly string[] }): React.JSX.Element {
  const number = (value: number | string | null): string => (typeof value === 'number' ? formatNumber(value) : (value ?? '–'));
  const byKey = new Map(run.metrics.map(metric => [metric.key, metric]));
  return (
    <div className="mb-scroll">
      <table className="mb-table" aria-label="Metrics">
        <thead>
          <tr>
            <th scope="col">metric</th>
            {['last', 'min', 'max', 'step', 'points'].map(title => (
              <th key={title} scope="col" className="mb-num">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {keys.flatMap(key => {
            const metric = byKey.get(key);
            return metric ? (
              <tr key={key}>
                <th scope="row">{key}</th>
                <td className="mb-num">{number(metric.last)}</td>
                <td className="mb-num">{number(metric.min)}</td>
                <td className="mb-num">{number(metric.max)}</td>
                <td className="mb-num">{metric.lastStep.toLocaleString('en')}</td>
                <td className="mb-num">{metric.count.toLocaleString('en')}</td>
              </tr>
            ) : (
              []
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Checkpoints({ run, api }: { readonly run: Run; readonly api: PageApi }): React.JSX.Element | null {
  const { value: checkpoints = [], error } = useAnswer(
    () => all(token => api.checkpoints(run.id, token)),
    [api, run.id],
    run.status === 'running' ? ENDED_S : 0
  );
  if (checkpoints.length === 0) {
    return <Trouble error={error} />;
  }
  const keys = [...new Set(checkpoints.flatMap(one => [...one.metrics.keys()]))].sort(byWeight);
  const cell = (checkpoint: Checkpoint, key: string): string => {
    const value = checkpoint.metrics.get(key);
    return value === undefined || value === null ? '' : formatNumber(value);
  };
  return (
    <section className="mb-section" aria-label="Checkpoints">
      <h2>Checkpoints</h2>
      <div className="mb-scroll">
        <table className="mb-table">
          <thead>
            <tr>
              <th scope="col">epoch</th>
              {keys.map(key => (
                <th key={key} scope="col" className="mb-num">
                  {key}
                </th>
              ))}
              <th scope="col">saved</th>
            </tr>
          </thead>
          <tbody>
            {checkpoints.map(checkpoint => (
              <tr key={checkpoint.id}>
                <th scope="row">{checkpoint.epoch}</th>
                {keys.map(key => (
                  <td key={key} className="mb-num">
                    {cell(checkpoint, key)}
                  </td>
                ))}
                <td>
                  <Moment at={checkpoint.createdAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function RunArtifacts({ run, api }: { readonly run: Run; readonly api: PageApi }): React.JSX.Element {
  const { value: checkpoints, error } = useAnswer(() => all(token => api.checkpoints(run.id, token)), [api, run.id]);
  if (!checkpoints) {
    return error === undefined ? <p className="mb-note">Looking for artifacts …</p> : <Trouble error={error} />;
  }
  const owners = new Map([[run.id, ''], ...checkpoints.map(one => [one.id, `epoch ${one.epoch}`] as const)]);
  return <ArtifactList api={api} owners={owners} everyS={run.status === 'running' ? ENDED_S : 0} />;
}
