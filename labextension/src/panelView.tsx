/**
 * How the panel looks: a list of runs by namespace, each of which opens to its details.
 */

import { refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Run } from './decode';
import type { PanelState } from './panel';
import { RunDetails } from './runDetails';
import { differences, formatAge, formatNumber, groupRuns, mainMetrics } from './runs';

/** What people can do in the panel. Functions that return text return what happened. */
export interface PanelActions {
  readonly onRefresh: () => void;
  readonly onMore: () => void;
  readonly onInsert: (code: string) => Promise<string>;
  readonly onCopy: (text: string) => string;
}

const FIRST_CODE = `import modelbox

with modelbox.start("my-first-run") as run:
    for step in range(100):
        run.log(loss=1 / (1 + step), step=step)`;

/** The whole panel. */
export function PanelView(props: PanelState & PanelActions & { readonly elsewhere: string }): React.JSX.Element {
  const { runs, error, isBusy, more, onRefresh, onMore, elsewhere } = props;
  const [filter, setFilter] = React.useState('');
  const [open, setOpen] = React.useState<string>();
  const groups = React.useMemo(() => groupRuns(runs ?? [], filter), [runs, filter]);
  const apart = React.useMemo(() => differences(runs ?? []), [runs]);
  const shown = groups.reduce((total, group) => total + group.runs.length, 0);
  const now = new Date();
  return (
    <>
      <header className="mb-Panel-header">
        <h2>
          Experiments {runs && <span className="mb-Panel-count">{`${shown}${more === 'no' || filter ? '' : '+'}`}</span>}
        </h2>
        <button type="button" className="mb-Panel-icon" title="Refresh" aria-label="Refresh" aria-busy={isBusy} onClick={onRefresh}>
          <refreshIcon.react tag="span" />
        </button>
        <input
          type="search"
          className="mb-Panel-filter"
          placeholder="Filter: name, tag, lr=0.01"
          aria-label="Filter experiments"
          value={filter}
          onChange={event => setFilter(event.target.value)}
        />
      </header>
      {error !== undefined && (
        <p role="alert" className="mb-Panel-error">
          {error}
        </p>
      )}
      <div className="mb-Panel-list" onKeyDown={moveFocus}>
        {runs === undefined && error === undefined && <p className="mb-Panel-note">Looking for experiments …</p>}
        {elsewhere !== '' && (
          <p className="mb-Panel-note">
            Notebooks here keep their experiments at {elsewhere}, as MODELBOX_API_ADDR says: open its web page to see them. This panel lists those
            in the store of this Jupyter server{runs?.length === 0 ? ', which has none' : ''}.
          </p>
        )}
        {runs?.length === 0 && elsewhere === '' && <Empty {...props} />}
        {runs !== undefined && runs.length > 0 && shown === 0 && <p className="mb-Panel-note">No experiment matches “{filter}”.</p>}
        {groups.map(group => (
          <section key={group.namespace} aria-label={`Namespace ${group.namespace}`}>
            <h3 title={group.namespace}>
              {group.namespace} <span className="mb-Panel-count">{group.runs.length}</span>
            </h3>
            <ul>
              {group.runs.map(run => (
                <RunItem
                  key={run.id}
                  run={run}
                  differences={apart.get(run.id) ?? []}
                  now={now}
                  isOpen={open === run.id}
                  onToggle={() => setOpen(open === run.id ? undefined : run.id)}
                  actions={props}
                />
              ))}
            </ul>
          </section>
        ))}
        {more === 'loadable' && (
          <button type="button" className="mb-Panel-more" onClick={onMore}>
            Load more
          </button>
        )}
        {more === 'too many' && <p className="mb-Panel-note">These are the newest. Find older ones in a notebook: modelbox.experiments()</p>}
      </div>
    </>
  );
}

function Empty({ onInsert, onCopy }: PanelActions): React.JSX.Element {
  const [done, setDone] = React.useState('');
  return (
    <div className="mb-Panel-empty">
      <p>No experiments yet. Run this in a cell, and watch it appear here:</p>
      <pre>{FIRST_CODE}</pre>
      <p className="mb-Panel-actions">
        <button type="button" onClick={() => void onInsert(FIRST_CODE).then(setDone)}>
          Insert code
        </button>
        <button type="button" onClick={() => setDone(onCopy(FIRST_CODE))}>
          Copy
        </button>
        <span role="status">{done}</span>
      </p>
    </div>
  );
}

interface RunItemProps {
  readonly run: Run;
  readonly differences: readonly (readonly [string, string])[];
  readonly now: Date;
  readonly isOpen: boolean;
  readonly onToggle: () => void;
  readonly actions: PanelActions;
}

function RunItem({ run, differences: params, now, isOpen, onToggle, actions }: RunItemProps): React.JSX.Element {
  const metrics = mainMetrics(run);
  const detailsId = `mb-run-${run.id}`;
  return (
    <li className="mb-Run">
      <button type="button" className="mb-Run-summary" aria-expanded={isOpen} aria-controls={detailsId} onClick={onToggle}>
        <span className="mb-Run-dot" data-status={run.status} role="img" aria-label={run.status} title={run.status} />
        <span className="mb-Run-name" title={run.name}>
          {run.name}
        </span>
        <time className="mb-Run-age" dateTime={run.startedAt.toISOString()} title={run.startedAt.toLocaleString()}>
          {formatAge(run.startedAt, now)}
        </time>
        {params.length > 0 && (
          <span className="mb-Run-params">
            {params.map(([name, value]) => (
              <span key={name} title={`${name} = ${value}`}>
                {name}={value}
              </span>
            ))}
          </span>
        )}
        {metrics.length > 0 && (
          <span className="mb-Run-metrics">
            {metrics.map(metric => (
              <span key={metric.key} title={`Last value of ${metric.key}, at step ${metric.lastStep}`}>
                {metric.key} <b>{typeof metric.last === 'number' ? formatNumber(metric.last) : ''}</b>
              </span>
            ))}
          </span>
        )}
      </button>
      {isOpen && <RunDetails id={detailsId} run={run} now={now} actions={actions} />}
    </li>
  );
}

/** Arrow keys go from run to run, Home and End to the first and last. */
function moveFocus(event: React.KeyboardEvent<HTMLElement>): void {
  const target = event.target instanceof HTMLElement ? event.target : null;
  if (!target?.classList.contains('mb-Run-summary')) {
    return;
  }
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>('.mb-Run-summary')];
  const at = buttons.indexOf(target);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (next !== undefined) {
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, next))]?.focus();
  }
}
