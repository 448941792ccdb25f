/**
 * Who may do what, as the API tells it, and how that is checked.
 */

import { count, isObject, list, object, text, textOr, time } from '../src/checks';

/** Who we are here, and what we may do; the namespace `/` stands for all. */
export interface Me {
  readonly user: string;
  readonly groups: readonly string[];
  readonly home: string;
  readonly roles: readonly (readonly [string, string])[];
}

/** A role that somebody was granted. */
export interface Grant {
  readonly namespace: string;
  readonly principal: string;
  readonly role: string;
  readonly grantedBy: string;
  readonly createdAt: Date;
}

/** What may be known of a token. */
export interface Token {
  readonly id: string;
  readonly name: string;
  readonly user: string;
  readonly role: string;
  readonly namespaces: readonly string[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Decode what `/access` tells. */
export function decodeMe(value: unknown): Me {
  const me = object(value, 'access');
  return {
    user: text(me.user, 'access.user'),
    groups: texts(me.groups, 'access.groups'),
    home: textOr(me.home, ''),
    roles: Object.entries(isObject(me.roles) ? me.roles : {}).map(([path, role]) => [path, text(role, 'access.roles')])
  };
}

/** Decode a token that was just made: the only time that it is told. */
export function decodeMade(value: unknown): string {
  return text(object(value, 'token').token, 'token.token');
}

/** Decode how many objects are gone. */
export function decodeDeleted(value: unknown): number {
  return count(object(value, 'answer').deleted, 'deleted');
}

/** Decode a role of somebody; for `pageOf`. */
export function grant(fields: Fields, where: string): Grant {
  return {
    namespace: text(fields.namespace, `${where}.namespace`),
    principal: text(fields.principal, `${where}.principal`),
    role: text(fields.role, `${where}.role`),
    grantedBy: textOr(fields.granted_by, ''),
    createdAt: time(fields.created_at, `${where}.created_at`)
  };
}

/** Decode what is known of a token; for `pageOf`. */
export function token(fields: Fields, where: string): Token {
  const moment = (name: string): Date | null => (typeof fields[name] === 'string' ? time(fields[name], `${where}.${name}`) : null);
  return {
    id: text(fields.id, `${where}.id`),
    name: text(fields.name, `${where}.name`),
    user: textOr(fields.user, ''),
    role: textOr(fields.role, ''),
    namespaces: texts(fields.namespaces, `${where}.namespaces`),
    createdAt: time(fields.created_at, `${where}.created_at`),
    expiresAt: moment('expires_at'),
    revokedAt: moment('revoked_at'),
    lastUsedAt: moment('last_used_at')
  };
}

function texts(value: unknown, where: string): readonly string[] {
  return list(value, where).map(item => text(item, where));
}
