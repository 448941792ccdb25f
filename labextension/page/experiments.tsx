/**
 * All experiments as a table: filtered by the query language, sorted, and selected to be compared.
 */

import * as React from 'react';

import { columnsMenu } from '../../widgets/modelbox_widgets/static/columns_menu.js';
import { Grid } from '../../widgets/modelbox_widgets/static/grid.js';
import { csvLine, exportMenu, textFile } from '../../widgets/modelbox_widgets/static/menu.js';
import type { Column } from '../../widgets/modelbox_widgets/static/runs_data.js';
import { sortedRows } from '../../widgets/modelbox_widgets/static/runs_data.js';
import { go, repeat } from './hooks';
import type { ViewProps } from './hooks';
import type { PageApi } from './pageApi';
import { copyText, CopyButton, Trouble, useTitle } from './parts';
import { hashOf } from './router';
import type { Route } from './router';
import { MOST_ROWS, RunList } from './runList';
import type { ListState } from './runList';

type ListRoute = Extract<Route, { page: 'experiments' }>;

const TYPING_MS = 500;
const REFRESH_S = 2;
const MOST_COMPARED = 50;
const FIRST_CODE = `import modelbox

modelbox.connect("ADDRESS")   # from another machine with token="…"
with modelbox.start("my-first-run", params={"lr": 0.01}) as run:
    for step in range(100):
        run.log(loss=1 / (1 + step), step=step)`;

/** The last list, with what was selected and seen of it: the back button finds it as it was. */
let kept: { readonly api: PageApi; readonly list: RunList; scrollTop: number; selected: ReadonlySet<number> } | undefined;

/** Forget the last list: whoever comes next may be somebody else. */
export function forgetList(): void {
  kept?.list.stop();
  kept = undefined;
}

/** The table and what is done with it. */
export function ExperimentsPage({ route, api }: ViewProps & { readonly route: ListRoute }): React.JSX.Element {
  useTitle('');
  const [text, setText] = React.useState(route.query);
  const asked = useRunList(api, route.query);
  const { state } = asked;
  // What was shown stays until there is something else to show.
  const before = React.useRef(asked);
  const list = state.loaded === undefined ? before.current : asked;
  before.current = list;
  const [selected, setSelected] = React.useState<readonly string[]>([]);
  const search = (): void => go({ ...route, query: text.trim() }, true);
  React.useEffect(() => setText(route.query), [route.query]);
  React.useEffect(() => {
    if (text.trim() === route.query) {
      return undefined;
    }
    const timer = window.setTimeout(search, TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [text, route]);
  const isEmpty = state.isComplete && state.loaded === 0;
  return (
    <div className="mb-list">
      <div className="mb-bar modelbox-widget">
        <input
          type="search"
          className="mbw-filter"
          placeholder="Filter: params.lr < 0.1 and metrics.loss.min < 0.2 order by metrics.loss.min"
          aria-label="Filter by a query"
          spellCheck={false}
          autoComplete="off"
          value={text}
          onChange={event => setText(event.target.value)}
          onKeyDown={event => event.key === 'Enter' && search()}
        />
        <a
          className={`mb-button${selected.length > 1 ? ' mb-primary' : ''}`}
          aria-disabled={selected.length < 2 || selected.length > MOST_COMPARED}
          title={selected.length > MOST_COMPARED ? `At most ${MOST_COMPARED} can be compared here` : 'Compare the selected experiments'}
          href={selected.length > 1 && selected.length <= MOST_COMPARED ? hashOf({ page: 'compare', ids: selected, metric: '' }) : undefined}
        >
          Compare{selected.length > 1 ? ` ${selected.length}` : ''}
        </a>
        <TableMenus list={list} route={route} />
      </div>
      <Trouble error={state.error} />
      {isEmpty && route.query === '' ? <Nothing api={api} /> : <RunGrid list={list} version={list.table.version} route={route} onSelect={setSelected} />}
      <p className="mb-count" role="status">
        {countText(state, route.query, selected.length)}
      </p>
    </div>
  );
}

/** The list of a query, kept fresh while it is shown. */
function useRunList(api: PageApi, query: string): RunList {
  const [, setTick] = React.useState(0);
  const list = React.useMemo(() => {
    if (kept?.api === api && kept.list.query === query) {
      return kept.list;
    }
    kept?.list.stop();
    const fresh = new RunList(api, query);
    kept = { api, list: fresh, scrollTop: 0, selected: new Set() };
    return fresh;
  }, [api, query]);
  React.useEffect(() => {
    list.onChange = () => setTick(tick => tick + 1);
    const stop = repeat(() => list.refresh(), () => REFRESH_S);
    return () => {
      list.onChange = () => undefined;
      stop();
    };
  }, [list]);
  return list;
}

interface RunGridProps {
  readonly list: RunList;
  readonly version: number;
  readonly route: ListRoute;
  readonly onSelect: (ids: readonly string[]) => void;
}

/** The grid itself, which draws only the rows in sight. */
function RunGrid({ list, version, route, onSelect }: RunGridProps): React.JSX.Element {
  const place = React.useRef<HTMLDivElement>(null);
  const latest = React.useRef({ list, route, onSelect });
  latest.current = { list, route, onSelect };
  const [grid, setGrid] = React.useState<Grid>();
  React.useEffect(() => {
    const id = (row: number): string => latest.current.list.table.experiments[row]?.id ?? '';
    const idsOf = (rows: Iterable<number>): string[] => [...rows].sort((a, b) => a - b).map(id);
    const made = new Grid(100_000, {
      sort: name => go({ ...latest.current.route, sort: nextSort(latest.current.route.sort, name, modeOf(latest.current.list, name)) }, true),
      select: () => {
        if (kept) {
          kept.selected = made.selected.rows;
        }
        latest.current.onSelect(idsOf(made.selected.rows));
      },
      pin: row => {
        made.baseline = made.baseline === row ? undefined : row;
        made.refresh();
      },
      copy: () => void copyText(csvOf(made)),
      href: row => hashOf({ page: 'experiment', id: id(row), tab: 'overview' }),
      open: row => go({ page: 'experiment', id: id(row), tab: 'overview' })
    });
    made.node.setAttribute('aria-label', 'Experiments');
    place.current?.append(made.node);
    setGrid(made);
    return () => {
      if (kept) {
        kept.scrollTop = made.node.scrollTop;
      }
      made.stop();
      made.node.remove();
    };
  }, []);
  React.useEffect(() => {
    if (!grid) {
      return;
    }
    grid.selected.replace(kept?.selected ?? []);
    latest.current.onSelect([...grid.selected.rows].flatMap(row => list.table.experiments[row]?.id ?? []));
    grid.node.scrollTop = 0;
  }, [grid, list]);
  React.useEffect(() => {
    if (grid) {
      arrange(grid, list, route);
    }
  }, [grid, list, version, route]);
  React.useEffect(() => {
    // Where the back button leads.
    if (grid && kept) {
      grid.node.scrollTop = kept.scrollTop;
    }
  }, [grid]);
  return <div ref={place} className="modelbox-widget mb-grid-place" />;
}

function arrange(grid: Grid, list: RunList, route: ListRoute): void {
  const { table } = list;
  const { name, ascending } = sortOf(route.sort);
  const sorting = name ? table.column(name) : undefined;
  grid.columns = shownColumns(list, route).flatMap(column => table.column(column) ?? []);
  grid.order = sorting ? sortedRows(sorting, table.order, ascending) : table.order;
  grid.sort = { name: sorting ? name : '', ascending };
  const { isComplete, error } = list.state;
  grid.empty.textContent = isComplete ? 'No experiment fits this filter.' : error === undefined ? 'Looking for experiments …' : '';
  grid.refresh();
}

function shownColumns(list: RunList, route: ListRoute): readonly string[] {
  const known = new Set(list.table.heads().map(head => head.name));
  const wanted = route.columns.filter(name => known.has(name));
  return wanted.length > 0 ? wanted : list.table.defaultColumns();
}

/** Which columns are shown, and saving what is shown. */
function TableMenus({ list, route }: { readonly list: RunList; readonly route: ListRoute }): React.JSX.Element {
  const place = React.useRef<HTMLSpanElement>(null);
  const latest = React.useRef({ list, route });
  latest.current = { list, route };
  React.useEffect(() => {
    const columns = columnsMenu(
      'Columns',
      () => [...latest.current.list.table.heads()],
      () => [...shownColumns(latest.current.list, latest.current.route)],
      names => go({ ...latest.current.route, columns: names }, true)
    );
    const csv = (): Blob => {
      const { table } = latest.current.list;
      const shown = shownColumns(latest.current.list, latest.current.route).flatMap(name => table.column(name) ?? []);
      return textFile(csvText(shown, table.order, row => table.experiments[row]?.id ?? ''), 'text/csv');
    };
    const files = exportMenu('experiments', { csv }, () => undefined);
    place.current?.append(columns, files);
    return () => {
      columns.remove();
      files.remove();
    };
  }, []);
  return <span ref={place} className="mb-menus" />;
}

function csvOf(grid: Grid): string {
  const rows = grid.selected.rows.size > 0 ? grid.order.filter(row => grid.selected.rows.has(row)) : grid.order;
  return csvText(grid.columns, rows, row => kept?.list.table.experiments[row]?.id ?? '');
}

function csvText(columns: readonly Column[], rows: readonly number[], id: (row: number) => string): string {
  const head = csvLine(['experiment_id', ...columns.map(column => column.head.name)]);
  return [head, ...rows.map(row => csvLine([id(row), ...columns.map(column => column.exact(row))])), ''].join('\r\n');
}

function modeOf(list: RunList, name: string): 'min' | 'max' | null {
  return list.table.heads().find(head => head.name === name)?.mode ?? null;
}

function sortOf(sort: string): { readonly name: string; readonly ascending: boolean } {
  return sort.startsWith('-') ? { name: sort.slice(1), ascending: false } : { name: sort, ascending: true };
}

/** Ascending, descending, as they came; metrics begin with the best. */
function nextSort(sort: string, name: string, mode: 'min' | 'max' | null): string {
  const first = mode === 'max' ? `-${name}` : name;
  const second = mode === 'max' ? name : `-${name}`;
  return sort === first ? second : sort === second ? '' : first;
}

function countText(state: ListState, query: string, selected: number): string {
  if (state.loaded === undefined) {
    return state.error === undefined ? 'Looking for experiments …' : '';
  }
  const count = `${state.loaded.toLocaleString('en')} ${state.loaded === 1 ? 'experiment' : 'experiments'}`;
  const parts = [
    state.isComplete ? count : `${count}, more are coming …`,
    ...(state.isCut ? [`the first ${MOST_ROWS.toLocaleString('en')}: a filter finds the others`] : []),
    ...(selected > 0 ? [`${selected.toLocaleString('en')} selected`] : []),
    ...(query ? ['filtered'] : [])
  ];
  return parts.join(' · ');
}

function Nothing({ api }: ViewProps): React.JSX.Element {
  const code = FIRST_CODE.replace('ADDRESS', api.session.base.href.replace(/\/$/, ''));
  return (
    <div className="mb-empty">
      <h2>No experiments yet</h2>
      <p>Here is the Python that makes one; it appears here while it runs.</p>
      <pre>{code}</pre>
      <CopyButton text={code} label="Copy the code" />
    </div>
  );
}
