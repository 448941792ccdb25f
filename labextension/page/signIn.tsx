/**
 * Asks for the token, and says where to get it.
 */

import * as React from 'react';

import { CopyButton } from './parts';
import type { Session } from './session';

interface SignInProps {
  readonly session: Session;
  /** The server's own sentence. */
  readonly why: string;
  /** Jupyter knows people by its own login. */
  readonly isJupyter: boolean;
  readonly onToken: () => Promise<void>;
}

/** The view of somebody who is not known. */
export function SignIn({ session, why, isJupyter, onToken }: SignInProps): React.JSX.Element {
  const [token, setToken] = React.useState('');
  const [isBusy, setBusy] = React.useState(false);
  const [wasRefused, setRefused] = React.useState(session.token !== '');
  const port = session.base.port;
  const command = `modelbox server token${port && port !== '8085' ? ` --port ${port}` : ''}`;
  const submit = async (event: React.FormEvent): Promise<void> => {
    event.preventDefault();
    session.token = token.trim();
    setBusy(true);
    setRefused(false);
    await onToken();
    setRefused(true);
    setBusy(false);
  };
  if (session.login) {
    return (
      <main className="mb-signin">
        <h1>ModelBox</h1>
        <section>
          <p>This ModelBox is shared by the users of a JupyterHub. Who is signed in there is known here.</p>
          <a className="mb-button mb-primary" href={session.url(session.login).href}>
            Sign in with JupyterHub
          </a>
        </section>
      </main>
    );
  }
  if (isJupyter) {
    const login = session.url('../login');
    login.searchParams.set('next', session.base.pathname);
    return (
      <main className="mb-signin">
        <h1>ModelBox</h1>
        <section>
          <p>This ModelBox is part of a Jupyter server. Who is logged in there is known here.</p>
          <a className="mb-button mb-primary" href={login.href}>
            Log in to Jupyter
          </a>
        </section>
      </main>
    );
  }
  return (
    <main className="mb-signin">
      <h1>ModelBox</h1>
      <form onSubmit={event => void submit(event)}>
        <label htmlFor="token">Token of this server</label>
        <input
          id="token"
          type="password"
          autoComplete="current-password"
          autoFocus
          spellCheck={false}
          value={token}
          aria-describedby="why"
          onChange={event => setToken(event.target.value)}
        />
        <button type="submit" className="mb-primary" disabled={isBusy || token.trim() === ''}>
          {isBusy ? 'Asking …' : 'Sign in'}
        </button>
        <p id="why" role={wasRefused ? 'alert' : 'status'} className={wasRefused ? 'mb-error' : 'mb-dim'}>
          {wasRefused ? why : explain(why)}
        </p>
      </form>
      <section>
        <h2>Where to find it</h2>
        <p>On the machine where the server runs, as the user who started it:</p>
        <div className="mb-code">
          <code>{command}</code>
          <CopyButton text={command} />
        </div>
        <p>
          With <code>--url</code> it prints an address that opens this page without asking.
        </p>
        <p className="mb-dim">The token stays in this tab and is forgotten when you close it. It is sent to this server only.</p>
      </section>
    </main>
  );
}

/** What programs are told is of little use to people. */
function explain(why: string): string {
  return why.includes('Authorization: Bearer') ? 'Everything here can be seen once you sign in.' : why;
}
