/**
 * Who looks at the page: the token, where it is kept, and how requests carry it.
 *
 * The token lives in the session storage of this tab and goes out in the Authorization header only: never in an address that reaches a
 * server, never in a cookie. A first address may bring it behind the `#`, which browsers keep to themselves.
 */

import { ApiError } from '../src/api';
import type { Send } from '../src/api';

const KEY = 'modelbox-token';

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

/** Remembers the token as long as the tab lives. Several servers may share an origin, below different paths. */
export class Session {
  private readonly key: string;

  constructor(
    readonly base: URL,
    private readonly store: TokenStore
  ) {
    this.key = `${KEY}:${base.pathname}`;
  }

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
    const xsrf = /(?:^|; )_xsrf=([^;]+)/.exec(document.cookie)?.[1];
    if (xsrf !== undefined) {
      headers.set('X-XSRFToken', decodeURIComponent(xsrf));
    }
    try {
      return await fetch(this.url(`api/v1/${path}`), { ...init, headers, redirect: 'error', cache: 'no-store' });
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') {
        throw error;
      }
      throw new ApiError('The ModelBox server cannot be reached: is it still running?', 0);
    }
  };
}
