import { describe, expect, it } from 'vitest';

import { HOME, hashOf, parseRoute } from '../../page/router';
import type { Route } from '../../page/router';
import { Session, tokenInHash } from '../../page/session';

const ROUTES: readonly Route[] = [
  HOME,
  { page: 'experiments', query: 'params.a < 1 and name ~ "x&y=z#"', sort: '-metrics.val/loss @1.last', columns: ['name', 'params.a,b?'] },
  { page: 'experiment', id: 'a'.repeat(40), tab: 'overview' },
  { page: 'experiment', id: 'a'.repeat(40), tab: 'history' },
  { page: 'compare', ids: ['a', 'b', 'c'], metric: 'val/loss @1 %' },
  { page: 'models', id: '' },
  { page: 'models', id: 'b'.repeat(40) },
  { page: 'access' },
  { page: 'server' }
];

describe('addresses', () => {
  it.each(ROUTES)('say where they lead: %o', route => {
    expect(parseRoute(hashOf(route))).toEqual(route);
  });

  it('lead to all experiments when they are empty', () => {
    expect(['', '#', '#/'].map(parseRoute)).toEqual([HOME, HOME, HOME]);
  });

  it('that mean nothing are not taken for something else', () => {
    expect(parseRoute('#/nowhere/at/all').page).toBe('unknown');
    expect(parseRoute('#/experiments/%E0%A4%A/x')).toEqual({ page: 'experiment', id: '%E0%A4%A', tab: 'overview' });
  });
});

describe('the token', () => {
  it('is found behind the hash only', () => {
    expect(tokenInHash('#token=a%20b%2F')).toBe('a b/');
    expect(['#/token=a', '#token=', '#token=%E0', '?token=a'].map(tokenInHash)).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('is kept per path, since several servers may share an origin', () => {
    const kept = new Map<string, string>();
    const store = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key)
    };
    const [one, other] = ['http://h/a/', 'http://h/b/'].map(address => new Session(new URL(address), store));
    one!.token = 'secret';
    expect([one!.token, other!.token]).toEqual(['secret', '']);
    one!.token = '';
    expect(kept.size).toBe(0);
  });

  it('goes to addresses below the folder of the page', () => {
    const session = new Session(new URL('http://h/services/modelbox/'), { getItem: () => null, setItem: () => undefined, removeItem: () => undefined });
    expect(session.url('api/v1/info').href).toBe('http://h/services/modelbox/api/v1/info');
  });
});
