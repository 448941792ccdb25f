/**
 * What the views of the page share: where they are, what the server answers, and how often it is asked again.
 */

import * as React from 'react';

import { ApiError } from '../src/api';
import type { PageApi } from './pageApi';
import { hashOf, parseRoute } from './router';
import type { Route } from './router';

const AWAY_S = 4;

/** What every view is given. */
export interface ViewProps {
  readonly api: PageApi;
}

/** Where the page is. */
export function useRoute(): Route {
  const [hash, setHash] = React.useState(window.location.hash);
  React.useEffect(() => {
    const listen = (): void => setHash(window.location.hash);
    window.addEventListener('hashchange', listen);
    window.addEventListener('popstate', listen);
    return () => {
      window.removeEventListener('hashchange', listen);
      window.removeEventListener('popstate', listen);
    };
  }, []);
  return React.useMemo(() => parseRoute(hash), [hash]);
}

/** Go to a view; with `replace` the back button leads past where we are now. */
export function go(route: Route, replace = false): void {
  if (!replace) {
    window.location.hash = hashOf(route);
    return;
  }
  window.history.replaceState(null, '', hashOf(route));
  window.dispatchEvent(new PopStateEvent('popstate'));
}

/** An answer of the server, and what is wrong when there is none. */
export interface Answer<T> {
  readonly value: T | undefined;
  readonly error: string | undefined;
  readonly again: () => void;
}

/**
 * Ask now, and every `everyS` seconds while the page can be seen; what was answered last stays until the next answer.
 *
 * `question` is asked anew when one of `about` changes, and until a server that is away has come back.
 */
export function useAnswer<T>(question: () => Promise<T>, about: readonly unknown[], everyS = 0): Answer<T> {
  const [state, setState] = React.useState<{ value: T | undefined; error: string | undefined }>({ value: undefined, error: undefined });
  const latest = React.useRef({ question, everyS });
  latest.current = { question, everyS };
  const again = React.useRef<() => void>(() => undefined);
  React.useEffect(() => {
    setState({ value: undefined, error: undefined });
    let isAway = false;
    return repeat(async isCurrent => {
      try {
        const value = await latest.current.question();
        isAway = false;
        if (isCurrent()) {
          setState({ value, error: undefined });
        }
      } catch (error) {
        isAway = error instanceof ApiError && (error.status === 0 || error.status >= 500);
        if (isCurrent()) {
          const message = error instanceof Error ? error.message : String(error);
          setState(before => ({ value: before.value, error: message }));
        }
      }
    }, () => latest.current.everyS || (isAway ? AWAY_S : 0), again);
  }, about);
  return { ...state, again: () => again.current() };
}

/** Never ask again sooner than this many times what the last answer took: a slow server is not asked more by a page that waits. */
const PATIENCE = 6;

/**
 * Do `work` now and again and again, with pauses of `everyS()` seconds, while the page can be seen; 0 means once.
 *
 * Returns how to stop; `now.current` does it at once.
 */
export function repeat(
  work: (isCurrent: () => boolean) => Promise<void>,
  everyS: () => number,
  now: { current: () => void } = { current: () => undefined }
): () => void {
  let isStopped = false;
  let isBusy = false;
  let isFirst = true;
  let timer = 0;
  const turn = async (): Promise<void> => {
    window.clearTimeout(timer);
    if (isStopped || isBusy) {
      return;
    }
    isBusy = true;
    const beganMs = performance.now();
    // A tab that was opened in the background is there when somebody turns to it.
    if (isFirst || !document.hidden) {
      isFirst = false;
      await work(() => !isStopped);
    }
    isBusy = false;
    const pauseS = everyS();
    if (!isStopped && pauseS > 0) {
      timer = window.setTimeout(() => void turn(), Math.max(pauseS * 1000, PATIENCE * (performance.now() - beganMs)));
    }
  };
  const wake = (): void => {
    if (!document.hidden && everyS() > 0) {
      void turn();
    }
  };
  now.current = () => void turn();
  document.addEventListener('visibilitychange', wake);
  void turn();
  return () => {
    isStopped = true;
    window.clearTimeout(timer);
    document.removeEventListener('visibilitychange', wake);
  };
}
