/**
 * The standalone web page of a ModelBox server.
 */

import * as React from 'react';
import { createRoot } from 'react-dom/client';

import './style.css';
import { App } from './app';
import { Session, tokenInHash } from './session';
import { followSystemTheme } from './theme';

const session = new Session(new URL('.', window.location.href), window.sessionStorage);

/** Take the token out of the address before anything else happens: neither the history nor a shared address keeps it. */
function takeToken(): void {
  const token = tokenInHash(window.location.hash);
  if (token !== undefined) {
    session.token = token;
    window.history.replaceState(null, '', `${window.location.pathname}#/`);
    session.announce();
  }
}

takeToken();
window.addEventListener('hashchange', takeToken);
followSystemTheme();

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(<App session={session} />);
}
