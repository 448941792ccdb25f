/**
 * The frame of the page: who looks at it, where to go, and the view that is shown.
 */

import * as React from 'react';

import { ComparePage } from './compare';
import { ExperimentPage } from './experiment';
import { ExperimentsPage } from './experiments';
import { useRoute } from './hooks';
import { ModelsPage } from './models';
import { PageApi } from './pageApi';
import type { ServerInfo } from './records';
import { hashOf, HOME } from './router';
import type { Route } from './router';
import { ServerPage } from './server';
import type { Session } from './session';
import { SignIn } from './signIn';

type Access = { readonly kind: 'asking' } | { readonly kind: 'open'; readonly info: ServerInfo } | { readonly kind: 'closed'; readonly why: string };

const VIEWS: readonly (readonly [string, Route])[] = [
  ['Experiments', HOME],
  ['Models', { page: 'models', id: '' }],
  ['Server', { page: 'server' }]
];

/** The whole page. */
export function App({ session }: { readonly session: Session }): React.JSX.Element {
  const [access, setAccess] = React.useState<Access>({ kind: 'asking' });
  const api = React.useMemo(() => new PageApi(session, why => setAccess({ kind: 'closed', why })), [session]);
  const route = useRoute();
  const knock = React.useCallback(async () => {
    try {
      setAccess({ kind: 'open', info: await api.info() });
    } catch (error) {
      setAccess({ kind: 'closed', why: error instanceof Error ? error.message : String(error) });
    }
  }, [api]);
  React.useEffect(() => {
    void knock();
    // A token may come with the address while the page is open.
    window.addEventListener('popstate', knock);
    return () => window.removeEventListener('popstate', knock);
  }, [knock]);
  if (access.kind === 'asking') {
    return <p className="mb-note">Asking the server …</p>;
  }
  if (access.kind === 'closed') {
    return <SignIn session={session} why={access.why} onToken={knock} />;
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

/** The address of the main part would be taken for a view. */
function skip(event: React.MouseEvent): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
