/**
 * Who may do what here: our own rights, roles on namespaces, and tokens for scripts.
 */

import * as React from 'react';

import type { Grant, Token } from './accessRecords';
import { useAnswer } from './hooks';
import type { ViewProps } from './hooks';
import { all } from './pageApi';
import type { PageApi } from './pageApi';
import { CopyButton, Facts, Moment, Trouble, useTitle } from './parts';

const ROLES = ['reader', 'writer', 'admin'];
const DAY_MS = 86_400_000;
const LIFETIMES: readonly (readonly [string, number])[] = [
  ['30 days', 30],
  ['90 days', 90],
  ['a year', 365],
  ['for ever', 0]
];

/** The view of rights. */
export function AccessPage({ api }: ViewProps): React.JSX.Element {
  useTitle('Access');
  const { value: me, error } = useAnswer(() => api.me(), [api]);
  return (
    <div className="mb-page">
      <h1>Access</h1>
      <Trouble error={error} />
      {me && (
        <Facts
          label="You"
          facts={[
            ['you are', me.user],
            ['groups', me.groups.join(', ') || 'none'],
            ...(me.home ? [['your own namespace', me.home] as const] : []),
            ...me.roles.map(([namespace, role]) => [`in ${namespace === '/' ? 'all namespaces' : namespace}`, role] as const)
          ]}
        />
      )}
      <Grants api={api} />
      <Tokens api={api} />
    </div>
  );
}

/** What went wrong with what was asked for last. */
function useAttempt(again: () => void): { readonly error: string | undefined; readonly attempt: (work: () => Promise<unknown>) => Promise<boolean> } {
  const [error, setError] = React.useState<string>();
  const attempt = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      setError(undefined);
      again();
      return true;
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
      return false;
    }
  };
  return { error, attempt };
}

function Grants({ api }: { readonly api: PageApi }): React.JSX.Element {
  const { value: grants, error, again } = useAnswer(() => all(page => api.grants(page)), [api]);
  const { error: problem, attempt } = useAttempt(again);
  const submit = (event: React.FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = event.currentTarget;
    const given = fieldsOf(form);
    void attempt(() => api.grant(given('namespace'), given('principal'), given('role'))).then(isDone => isDone && form.reset());
  };
  return (
    <section className="mb-section" aria-label="Roles">
      <h2>Roles</h2>
      <p className="mb-dim">A role holds for a namespace and everything below it; / stands for all. You see those of the namespaces that you are admin of.</p>
      <form className="mb-form" onSubmit={submit}>
        <input name="namespace" required placeholder="namespace, as in team/vision" aria-label="Namespace" />
        <input name="principal" required placeholder="user:ada, group:vision or everyone" aria-label="Who" />
        <RoleChoice roles={ROLES} />
        <button type="submit">Grant</button>
      </form>
      <Trouble error={problem ?? error} />
      {grants && grants.length > 0 && (
        <div className="mb-scroll">
          <table className="mb-table" aria-label="Roles">
            <Titles titles={['namespace', 'who', 'role', 'granted by', 'when', '']} />
            <tbody>
              {grants.map((grant: Grant) => (
                <tr key={`${grant.namespace} ${grant.principal}`}>
                  <th scope="row">{grant.namespace}</th>
                  <td>{grant.principal}</td>
                  <td>{grant.role}</td>
                  <td>{grant.grantedBy}</td>
                  <td>
                    <Moment at={grant.createdAt} />
                  </td>
                  <td className="mb-row-actions">
                    <Revoke what={`the role of ${grant.principal}`} onRevoke={() => attempt(() => api.revokeGrant(grant.namespace, grant.principal))} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Tokens({ api }: { readonly api: PageApi }): React.JSX.Element {
  const { value: tokens, error, again } = useAnswer(() => all(page => api.tokens(page)), [api]);
  const { error: problem, attempt } = useAttempt(again);
  const [made, setMade] = React.useState('');
  const submit = (event: React.FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = event.currentTarget;
    const given = fieldsOf(form);
    const days = Number(given('days'));
    const namespaces = given('namespaces')
      .split(',')
      .map(path => path.trim())
      .filter(Boolean);
    const expiresAt = days > 0 ? new Date(Date.now() + days * DAY_MS) : null;
    void attempt(async () => setMade(await api.makeToken({ name: given('name'), role: given('role'), namespaces, expiresAt }))).then(
      isDone => isDone && form.reset()
    );
  };
  return (
    <section className="mb-section" aria-label="Tokens">
      <h2>Tokens</h2>
      <p className="mb-dim">For scripts and services: MODELBOX_API_TOKEN. A token acts as you, and may be allowed less.</p>
      <form className="mb-form" onSubmit={submit}>
        <input name="name" required placeholder="name, as in nightly-training" aria-label="Name of the token" />
        <RoleChoice roles={['', ...ROLES]} />
        <input name="namespaces" placeholder="namespaces; all when empty" aria-label="Namespaces" />
        <select name="days" aria-label="How long it lives" defaultValue="90">
          {LIFETIMES.map(([label, days]) => (
            <option key={days} value={days}>
              {label}
            </option>
          ))}
        </select>
        <button type="submit">Make a token</button>
      </form>
      <Trouble error={problem ?? error} />
      {made && (
        <div className="mb-code" role="status">
          <span>
            This is shown only now: <code>{made}</code>
          </span>
          <CopyButton text={made} />
        </div>
      )}
      {tokens && tokens.length > 0 && (
        <div className="mb-scroll">
          <table className="mb-table" aria-label="Tokens">
            <Titles titles={['name', 'acts as', 'at most', 'in', 'made', 'expires', 'last used', '']} />
            <tbody>
              {tokens.map((token: Token) => (
                <tr key={token.id}>
                  <th scope="row">{token.name}</th>
                  <td>{token.user}</td>
                  <td>{token.role || 'what they may'}</td>
                  <td>{token.namespaces.join(', ') || 'all namespaces'}</td>
                  <td>
                    <Moment at={token.createdAt} />
                  </td>
                  <td>{token.expiresAt ? token.expiresAt.toLocaleDateString() : 'never'}</td>
                  <td>{token.lastUsedAt ? <Moment at={token.lastUsedAt} /> : 'never'}</td>
                  <td className="mb-row-actions">
                    {token.revokedAt ? (
                      <span className="mb-dim">revoked</span>
                    ) : (
                      <Revoke what={`the token ${token.name}`} onRevoke={() => attempt(() => api.revokeToken(token.id))} />
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function RoleChoice({ roles }: { readonly roles: readonly string[] }): React.JSX.Element {
  return (
    <select name="role" aria-label="Role">
      {roles.map(role => (
        <option key={role} value={role}>
          {role || 'all that I may'}
        </option>
      ))}
    </select>
  );
}

function Titles({ titles }: { readonly titles: readonly string[] }): React.JSX.Element {
  return (
    <thead>
      <tr>
        {titles.map(title => (
          <th key={title} scope="col">
            {title}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** A button that asks once more before it acts. */
function Revoke({ what, onRevoke }: { readonly what: string; readonly onRevoke: () => Promise<unknown> }): React.JSX.Element {
  const [isSure, setSure] = React.useState(false);
  return (
    <button
      type="button"
      className="mb-quiet"
      aria-label={isSure ? `Really revoke ${what}` : `Revoke ${what}`}
      onClick={() => (isSure ? void onRevoke() : setSure(true))}
      onBlur={() => setSure(false)}
    >
      {isSure ? 'Really?' : 'Revoke'}
    </button>
  );
}

function fieldsOf(form: HTMLFormElement): (name: string) => string {
  const data = new FormData(form);
  return name => {
    const value = data.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
}
