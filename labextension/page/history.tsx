/**
 * What happened to an object: what people and programs logged, and what ModelBox recorded itself.
 */

import * as React from 'react';

import { isObject } from '../src/checks';
import { formatValue } from '../src/runs';
import { useAnswer } from './hooks';
import type { PageApi } from './pageApi';
import { all, MAX_PAGE } from './pageApi';
import { Trouble } from './parts';
import type { Change, LoggedEvent } from './records';

const MOST_CHANGES = 5000;
const MOST_LETTERS = 160;
const EVERY_S = 5;
/** Fields that say which object it was. */
const TELLING = ['name', 'version', 'epoch', 'key', 'uri'];

type Fields = Readonly<Record<string, unknown>>;

interface HistoryProps {
  readonly api: PageApi;
  readonly objectId: string;
  readonly isRunning: boolean;
}

/** Events and change events, newest first. */
export function History({ api, objectId, isRunning }: HistoryProps): React.JSX.Element {
  const everyS = isRunning ? EVERY_S : 0;
  const events = useAnswer(() => all(token => api.events(objectId, token)), [api, objectId], everyS);
  const changes = useAnswer(() => changesOf(api, objectId), [api, objectId], everyS);
  return (
    <div className="mb-halves">
      <section aria-label="Events">
        <h2>Events</h2>
        <Trouble error={events.error} />
        {events.value?.length === 0 && (
          <p className="mb-note">
            Nothing was logged. In Python: <code>run.log_event("data loaded", source="trainer")</code>
          </p>
        )}
        <ol className="mb-feed">
          {[...(events.value ?? [])].reverse().map(event => (
            <EventItem key={event.id} event={event} />
          ))}
        </ol>
      </section>
      <section aria-label="Changes">
        <h2>Changes</h2>
        <Trouble error={changes.error} />
        <ol className="mb-feed">
          {[...(changes.value ?? [])].reverse().map(change => (
            <ChangeItem key={change.seq} change={change} />
          ))}
        </ol>
      </section>
    </div>
  );
}

async function changesOf(api: PageApi, objectId: string): Promise<readonly Change[]> {
  const found: Change[] = [];
  for (;;) {
    const { items } = await api.changes(objectId, found.at(-1)?.seq ?? 0);
    found.push(...items);
    if (items.length < MAX_PAGE || found.length >= MOST_CHANGES) {
      return found;
    }
  }
}

function EventItem({ event }: { readonly event: LoggedEvent }): React.JSX.Element {
  const details = Object.entries(event.metadata);
  return (
    <li>
      <When at={event.at} />
      <div>
        <b>{event.name}</b> <span className="mb-dim">{event.source}</span>
        {details.map(([key, value]) => (
          <div key={key} className="mb-detail">
            {key}: {formatValue(value)}
          </div>
        ))}
      </div>
    </li>
  );
}

function ChangeItem({ change }: { readonly change: Change }): React.JSX.Element {
  return (
    <li>
      <When at={change.at} />
      <div>
        <b>{change.actor || 'somebody'}</b> {change.kind} {article(change.objectType)}
        <span className="mb-dim" title={change.address}>
          {' '}
          {change.face && `through ${change.face}`}
        </span>
        {changeLines(change).map((line, i) => (
          <div key={i} className="mb-detail">
            {line}
          </div>
        ))}
      </div>
    </li>
  );
}

function article(objectType: string): string {
  const name = objectType.replaceAll('_', ' ');
  return `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;
}

function When({ at }: { readonly at: Date }): React.JSX.Element {
  return (
    <time dateTime={at.toISOString()} title={at.toLocaleString()}>
      {at.toLocaleString(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' })}
    </time>
  );
}

/** What a change was about, a line each: `status: running → finished`. */
export function changeLines({ payload }: Pick<Change, 'payload'>): readonly string[] {
  const { old: before, new: after } = payload;
  if (isObject(before) && isObject(after)) {
    return differences(before, after);
  }
  const subject = isObject(after) ? after : payload;
  return TELLING.filter(field => subject[field] !== undefined && subject[field] !== '').map(field => `${field}: ${worded(subject[field])}`);
}

function differences(before: Fields, after: Fields): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap(field => {
    const [old, fresh] = [before[field], after[field]];
    if (field === 'metadata' && isObject(old) && isObject(fresh)) {
      return differences(old, fresh);
    }
    return `${field}: ${worded(old)} → ${worded(fresh)}`;
  });
}

/** A value in a line: a whole patch or a list of packages stands on the first view of the experiment. */
function worded(value: unknown): string {
  const letters = value === undefined || value === null ? [...'nothing'] : [...formatValue(value)];
  return letters.length > MOST_LETTERS ? `${letters.slice(0, MOST_LETTERS).join('')} …` : letters.join('');
}
