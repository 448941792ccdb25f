/**
 * How answers of the API are looked at before they are believed. What is not as it should be raises `UnexpectedAnswer` with the place.
 */

/** The server answered with something that this extension does not understand. */
export class UnexpectedAnswer extends Error {
  constructor(where: string, wanted: string) {
    super(`The ModelBox server answered without ${wanted} in “${where}”: are the server and the lab extension of the same version?`);
    this.name = 'UnexpectedAnswer';
  }
}

/** Whether `value` is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `value` as a JSON object. */
export function object(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (!isObject(value)) {
    throw new UnexpectedAnswer(where, 'an object');
  }
  return value;
}

/** `value` as a list. */
export function list(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw new UnexpectedAnswer(where, 'a list');
  }
  return value;
}

/** `value` as text. */
export function text(value: unknown, where: string): string {
  if (typeof value !== 'string') {
    throw new UnexpectedAnswer(where, 'text');
  }
  return value;
}

/** `value` if it is text, or else `fallback`. */
export function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

/** `value` as a finite number. */
export function count(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new UnexpectedAnswer(where, 'a number');
  }
  return value;
}

/** `value` as a moment. */
export function time(value: unknown, where: string): Date {
  const date = new Date(text(value, where));
  if (Number.isNaN(date.getTime())) {
    throw new UnexpectedAnswer(where, 'a time');
  }
  return date;
}

/** A float of the wire: a number, or the text “NaN”, “Infinity” or “-Infinity”. */
export function wireFloat(value: unknown): number | null {
  if (typeof value === 'number') {
    return value;
  }
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : null;
}
