/**
 * Who looks at the page: the token, where it is kept, and how requests carry it.
 *
 * The token lives in the session storage of this tab and goes out in the Authorization header only: never in an address that reaches a
 * server, never in a cookie. A first address may bring it behind the `#`, which browsers keep to themselves.
 *
 * Behind a JupyterHub there is no token here: who signed in at the Hub has a session that no script can read, and a cookie beside it that
 * calls repeat in a header, as a Jupyter server wants it too.
 */

import { ApiError } from '../src/api';
import type { Send } from '../src/api';

const KEY = 'modelbox-token';
const LOGIN_HEADER = 'ModelBox-Login';
const PROOFS = ['modelbox-xsrf', '_xsrf'] as const;

/** The part of a browser's storage that is needed here. */
export type TokenStore = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** The token in `#token=…`, or undefined where the address brings none. */
export function tokenInHash(hash: string): string | undefined {
  if (!hash.startsWith('#token=')) {
    return undefined;
  }
  try {
    return decodeURIComponent(hash.slice('#token='.length)) || undefined;
  } catch {
    return undefined; // no encoding of anything
  }
}

/** What calls have to repeat of the cookies, or undefined where they have to repeat nothing. */
export function proofOf(cookies: string): string | undefined {
  const values = new Map(cookies.split('; ').map(cookie => [cookie.split('=', 1)[0], cookie.slice(cookie.indexOf('=') + 1)]));
  const name = PROOFS.find(one => values.has(one));
  return name === undefined ? undefined : decodeURIComponent(values.get(name) ?? '');
}

/** Remembers the token as long as the tab lives. Several servers may share an origin, below different paths. */
export class Session {
  private readonly key: string;

  constructor(
    readonly base: URL,
    private readonly store: TokenStore
  ) {
    this.key = `${KEY}:${base.pathname}`;
  }

  /** Where somebody signs in whom the server does not know, relative to the page; empty where a token is asked for. */
  login = '';

  /** Called when a token came with the address while the page is open. */
  announce: () => void = () => undefined;

  get token(): string {
    return this.store.getItem(this.key) ?? '';
  }

  set token(token: string) {
    if (token) {
      this.store.setItem(this.key, token);
    } else {
      this.store.removeItem(this.key);
    }
  }

  /** Where a path of this server is; what it is relative to is the folder of the page. */
  url(path: string): URL {
    return new URL(path, this.base);
  }

  /** Send a request below `api/v1/` with the token, or with what a surrounding Jupyter server knows people by. */
  readonly send: Send = async (path, init) => {
    const headers = new Headers(init.headers);
    if (this.token) {
      headers.set('Authorization', `Bearer ${this.token}`);
    }
    const proof = proofOf(document.cookie);
    if (proof !== undefined) {
      headers.set('X-XSRFToken', proof);
    }
    try {
      const response = await fetch(this.url(`api/v1/${path}`), { ...init, headers, redirect: 'error', cache: 'no-store' });
      this.login = response.headers.get(LOGIN_HEADER) ?? '';
      return response;
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') {
        throw error;
      }
      throw new ApiError('The ModelBox server cannot be reached: is it still running?', 0);
    }
  };
}
