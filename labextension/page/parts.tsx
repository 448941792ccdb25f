/**
 * Small parts that views are made of. Text only ever becomes text nodes.
 */

import * as React from 'react';

import { agoText } from '../../widgets/modelbox_widgets/static/runs_data.js';
import type { Axis } from './curves';

/** Copies a text, and says so. */
export function CopyButton({ text, label = 'Copy' }: { readonly text: string; readonly label?: string }): React.JSX.Element {
  const [done, setDone] = React.useState('');
  const copy = async (): Promise<void> => {
    try {
      await copyText(text);
      setDone('Copied');
    } catch {
      setDone('The browser does not allow it');
    }
    window.setTimeout(() => setDone(''), 2000);
  };
  return (
    <button type="button" className="mb-quiet" title={text} onClick={() => void copy()}>
      <span aria-live="polite">{done || label}</span>
    </button>
  );
}

/** Copy, also where the page came over plain HTTP. */
export async function copyText(text: string): Promise<void> {
  if (window.isSecureContext) {
    return navigator.clipboard.writeText(text);
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'mbw-unseen';
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  if (!isCopied) {
    throw new Error('The browser does not allow copying.');
  }
}

/** Where a run stands. */
export function Status({ status }: { readonly status: string }): React.JSX.Element {
  return (
    <span className="mbw-badge" data-status={status}>
      {status}
    </span>
  );
}

/** A moment, as how long ago it was. */
export function Moment({ at }: { readonly at: Date }): React.JSX.Element {
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString()}>
      {agoText(at.getTime(), Date.now())}
    </time>
  );
}

/** An error in the words of the server. */
export function Trouble({ error }: { readonly error: string | undefined }): React.JSX.Element | null {
  return error === undefined ? null : (
    <p className="mb-error" role="alert">
      {error}
    </p>
  );
}

/** Bytes in their largest unit. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [size, unit] = [bytes, 0];
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? size : size.toPrecision(3)} ${units[unit] ?? ''}`;
}

/** Names and values. */
export function Facts({ facts, label }: { readonly facts: readonly (readonly [string, React.ReactNode])[]; readonly label: string }): React.JSX.Element {
  return (
    <table className="mb-facts" aria-label={label}>
      <tbody>
        {facts.map(([name, value]) => (
          <tr key={name}>
            <th scope="row" title={name}>
              {name.split(/(?<=[._/-])/).map((part, place) => (
                <React.Fragment key={place}>
                  {part}
                  <wbr />
                </React.Fragment>
              ))}
            </th>
            <td title={typeof value === 'string' ? value : undefined}>{value}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Titles the page, as tabs and the history show it. */
export function useTitle(title: string): void {
  React.useEffect(() => {
    document.title = title ? `${title} · ModelBox` : 'ModelBox';
  }, [title]);
}

/** How the charts of a view are drawn. */
export interface ChartLook {
  readonly isLog: boolean;
  readonly axis: Axis;
  readonly setLog: (isLog: boolean) => void;
  readonly setAxis: (axis: Axis) => void;
}

/** How charts are drawn, until the view is left. */
export function useChartLook(): ChartLook {
  const [isLog, setLog] = React.useState(false);
  const [axis, setAxis] = React.useState<Axis>('step');
  return { isLog, axis, setLog, setAxis };
}

/** Chooses how charts are drawn. */
export function ChartBar({ look, children }: { readonly look: ChartLook; readonly children?: React.ReactNode }): React.JSX.Element {
  return (
    <div className="mb-chart-bar">
      {children}
      <label>
        Over{' '}
        <select value={look.axis} onChange={event => look.setAxis(event.target.value === 'time' ? 'time' : 'step')}>
          <option value="step">steps</option>
          <option value="time">time</option>
        </select>
      </label>
      <label>
        <input type="checkbox" checked={look.isLog} onChange={event => look.setLog(event.target.checked)} /> Log scale
      </label>
    </div>
  );
}
