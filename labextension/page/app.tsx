/**
 * The frame of the page: who looks at it, where to go, and the view that is shown.
 */

import * as React from 'react';

import { ApiError } from '../src/api';
import { AccessPage } from './access';
import { ComparePage } from './compare';
import { ExperimentPage } from './experiment';
import { ExperimentsPage, forgetList } from './experiments';
import { useRoute } from './hooks';
import { ModelsPage } from './models';
import { PageApi } from './pageApi';
import type { ServerInfo } from './records';
import { hashOf, HOME } from './router';
import type { Route } from './router';
import { ServerPage } from './server';
import type { Session } from './session';
import { SignIn } from './signIn';

/** Whether the server answers, and to us. */
type Access =
  | { readonly kind: 'asking' }
  | { readonly kind: 'open'; readonly info: ServerInfo }
  | { readonly kind: 'closed'; readonly why: string; readonly isJupyter: boolean }
  | { readonly kind: 'away'; readonly why: string };

const AWAY_MS = 3000;
const VIEWS: readonly (readonly [string, Route])[] = [
  ['Experiments', HOME],
  ['Models', { page: 'models', id: '' }],
  ['Access', { page: 'access' }],
  ['Server', { page: 'server' }]
];

/** The whole page. */
export function App({ session }: { readonly session: Session }): React.JSX.Element {
  const [access, setAccess] = React.useState<Access>({ kind: 'asking' });
  const api = React.useMemo(() => new PageApi(session, error => setAccess(withoutAccess(error))), [session]);
  const route = useRoute();
  const knock = React.useCallback(async () => {
    try {
      setAccess({ kind: 'open', info: await api.info() });
    } catch (error) {
      setAccess(withoutAccess(error));
    }
  }, [api]);
  React.useEffect(() => {
    session.announce = () => void knock();
    void knock();
    window.addEventListener('keydown', findFilter);
    return () => window.removeEventListener('keydown', findFilter);
  }, [session, knock]);
  React.useEffect(() => {
    if (access.kind === 'closed') {
      forgetList();
    }
  }, [access]);
  React.useEffect(() => {
    const timer = access.kind === 'away' ? window.setTimeout(() => void knock(), AWAY_MS) : 0;
    return () => window.clearTimeout(timer);
  }, [access, knock]);
  if (access.kind === 'asking') {
    return <p className="mb-note">Asking the server …</p>;
  }
  if (access.kind === 'away') {
    return (
      <p className="mb-note" role="alert">
        {access.why}
      </p>
    );
  }
  if (access.kind === 'closed') {
    return <SignIn session={session} why={access.why} isJupyter={access.isJupyter} onToken={knock} />;
  }
  const leave = (): void => {
    session.token = '';
    void knock();
  };
  return (
    <>
      <a className="mb-skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header className="mb-top">
        <a className="mb-logo" href={hashOf(HOME)}>
          ModelBox
        </a>
        <nav aria-label="Views">
          {VIEWS.map(([name, to]) => (
            <a key={name} href={hashOf(to)} aria-current={isWithin(route, to) ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <span className="mb-user" title={`Signed in as ${access.info.user}`}>
          {access.info.user}
        </span>
        {session.token && (
          <button type="button" className="mb-quiet" onClick={leave}>
            Sign out
          </button>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        <View route={route} api={api} info={access.info} />
      </main>
    </>
  );
}

/** A server that is away may come back by itself; one that does not know us will not. */
function withoutAccess(error: unknown): Access {
  const why = error instanceof Error ? error.message : String(error);
  const status = error instanceof ApiError ? error.status : 0;
  // Jupyter's way to say that somebody should log in.
  return status >= 400 && status < 500 ? { kind: 'closed', why, isJupyter: status === 403 } : { kind: 'away', why };
}

function View({ route, api, info }: { readonly route: Route; readonly api: PageApi; readonly info: ServerInfo }): React.JSX.Element {
  switch (route.page) {
    case 'experiments':
      return <ExperimentsPage route={route} api={api} />;
    case 'experiment':
      return <ExperimentPage key={route.id} route={route} api={api} />;
    case 'compare':
      return <ComparePage route={route} api={api} />;
    case 'models':
      return <ModelsPage route={route} api={api} />;
    case 'access':
      return <AccessPage api={api} />;
    case 'server':
      return <ServerPage api={api} info={info} />;
    default:
      return (
        <div className="mb-page">
          <p className="mb-note">
            There is no view “{route.path}” here. <a href={hashOf(HOME)}>See the experiments</a>
          </p>
        </div>
      );
  }
}

function isWithin(route: Route, view: Route): boolean {
  const place = route.page === 'experiment' || route.page === 'compare' ? 'experiments' : route.page;
  return place === view.page;
}

/** The slash key goes to the filter, where there is one. */
function findFilter(event: KeyboardEvent): void {
  const isTyping = event.target instanceof HTMLElement && event.target.matches('input, textarea, select');
  const filter = document.querySelector<HTMLInputElement>('.mb-list .mbw-filter');
  if (event.key === '/' && !isTyping && filter) {
    event.preventDefault();
    filter.focus();
  }
}

/** The address of the main part would be taken for a view. */
function skip(event: React.MouseEvent): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
