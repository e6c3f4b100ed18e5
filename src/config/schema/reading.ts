/**
 * The kinds of values that a configuration is made of, as zod schemas. Each reads one value and says, when it can't,
 * what the value is and what is allowed. The same schemas read files, where a number is a number, and flags, where it
 * was text and has been turned into one.
 */

import { z } from 'zod';
import { AddressError } from '#address/brand.js';
import { formatHostPort, type HostPort, parseHostPort } from '#config/host-port.js';
import { showValue } from '#config/schema/config-problem.js';
import { parseDuration } from '#text/duration.js';
import type { NameForm } from '#text/name-form.js';

export type Schema<T> = z.ZodType<T, unknown>;

/** A value that its key does not allow. */
class ValueError extends Error {}

/** The part of a JSON Schema that says of a value what can be said there. */
type Form = {
  readonly type?: 'string' | 'integer' | 'boolean';
  readonly [keyword: string]: unknown;
};

/**
 * A schema from a function that reads the value, or throws `ValueError` or `AddressError` (which says itself what is
 * allowed). `form` is for editors (`file-schema.ts`): it allows no less than `read` does.
 */
function reading<T>(allowed: string, form: Form, read: (value: unknown) => T): Schema<T> {
  const schema = z.unknown().transform((value, context) => {
    try {
      if (value === undefined) throw new ValueError('is missing');
      return read(value);
    } catch (error) {
      if (error instanceof ValueError) context.addIssue({ code: 'custom', message: `${error.message}: ${allowed}` });
      else if (error instanceof AddressError) context.addIssue({ code: 'custom', message: error.message });
      else throw error;
      return z.NEVER;
    }
  });
  return schema.meta({ description: allowed, ...form });
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new ValueError(`${showValue(value)} is not a string`);
  return value;
}

/** A whole number; `of` names its unit, in the plural. */
export function whole(min: number, max: number, of?: string): Schema<number> {
  const allowed = `a whole number${of === undefined ? '' : ` of ${of}`} from ${min} to ${max} is allowed`;
  return reading(allowed, { type: 'integer', minimum: min, maximum: max }, (value) => {
    if (typeof value !== 'number') throw new ValueError(`${showValue(value)} is not a number`);
    if (!Number.isInteger(value)) throw new ValueError(`${value} is not a whole number`);
    if (value < min || value > max) throw new ValueError(`${value} is out of range`);
    return value;
  });
}

/** A switch that may also be left to this word. */
export function yesNoOr<Word extends string>(word: Word): Schema<boolean | Word> {
  return reading(`true, false or ${word} is allowed`, { enum: [true, false, word] }, (value) => {
    if (typeof value === 'boolean') return value;
    if (value !== word) throw new ValueError(`${showValue(value)} is neither`);
    return word;
  });
}

export const yesNo: Schema<boolean> = reading('true or false is allowed', { type: 'boolean' }, (value) => {
  if (typeof value !== 'boolean') throw new ValueError(`${showValue(value)} is not a boolean`);
  return value;
});

/** Text of a form; `allowed` says it: `1 to 63 characters of [a-z0-9.-]`. */
export function matching({ pattern, allowed }: Pick<NameForm, 'pattern' | 'allowed'>): Schema<string> {
  return reading(`${allowed} is allowed`, { type: 'string', pattern: pattern.source }, (value) => {
    const found = text(value);
    if (!pattern.test(found)) throw new ValueError(`${showValue(found)} has another form`);
    return found;
  });
}

/** As `matching`, for a text that is secret: the message does not have it. */
export function secret(pattern: RegExp, form: string): Schema<string> {
  return reading(`${form} is allowed`, { type: 'string', pattern: pattern.source }, (value) => {
    if (typeof value !== 'string') throw new ValueError('is not a string');
    if (!pattern.test(value)) throw new ValueError(`a text of ${value.length} characters has another form`);
    return value;
  });
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Schema<Word> {
  const allowed = `${words.map((word) => JSON.stringify(word)).join(' or ')} is allowed`;
  return reading(allowed, { enum: words }, (value) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw new ValueError(`${showValue(value)} is unknown here`);
    return found;
  });
}

/** A path of the file system, as it is given. */
export const path: Schema<string> = reading(
  'a path of 1 to 4096 characters is allowed',
  { type: 'string', minLength: 1, maxLength: 4096 },
  (value) => {
    const found = text(value);
    if (found === '' || found.includes('\0') || found.length > 4096) {
      throw new ValueError(`${showValue(found)} is not a path`);
    }
    return found;
  },
);

/** A value by its parser, which throws `AddressError`. */
export function parsedBy<T>(parse: (text: string) => T, like: string): Schema<T> {
  return reading(`one like ${like} is allowed`, { type: 'string' }, (value) => parse(text(value)));
}

const hostPortAllowed = 'HOST:PORT is allowed, like 127.0.0.1:7070';

/** HOST:PORT to listen on; port 0 lets the system choose. */
export const listen: Schema<HostPort> = reading(hostPortAllowed, { type: 'string' }, (value) =>
  parseHostPort(text(value)),
);

/** HOST:PORT of another process; the port is not 0. */
export const remote: Schema<HostPort> = reading(hostPortAllowed, { type: 'string' }, (value) =>
  parseRemote(text(value)),
);

function parseRemote(given: string): HostPort {
  const found = parseHostPort(given);
  if (found.port === 0) throw new AddressError(formatHostPort(found), 'has port 0: 1 to 65535 is allowed');
  return found;
}

/** One or more HOST:PORT: a text with commas between them, or a list of such texts. */
export function remotes(max: number): Schema<readonly HostPort[]> {
  const allowed = 'HOST:PORT is allowed, several with commas between, like 10.0.0.1:7070,10.0.0.2:7070';
  const one = { type: 'string' };
  return reading(allowed, { anyOf: [one, { type: 'array', items: one, minItems: 1, maxItems: max }] }, (value) => {
    const texts = (Array.isArray(value) ? value : [value]).flatMap((each) => text(each).split(','));
    if (texts.length === 0) throw new ValueError(`${showValue(value)} names none`);
    if (texts.length > max) throw new ValueError(`${texts.length} addresses are more than ${max}`);
    return texts.map((each) => parseRemote(each.trim()));
  });
}

/** A length of time from `min` to `max`, both as text; in ms. */
export function duration(min: string, max: string): Schema<number> {
  return reading(lengthAllowed(min, max), lengthForm(), (value) => readDuration(value, min, max));
}

/** `never` (undefined), or a length of time in ms. */
export function neverOr(min: string, max: string): Schema<number | undefined> {
  return reading(`"never" or ${lengthAllowed(min, max)}`, lengthForm('never|'), (value) =>
    value === 'never' ? undefined : readDuration(value, min, max),
  );
}

/** `also`: words beside it, each with a bar behind. */
function lengthForm(also = ''): Form {
  return { type: 'string', pattern: `^(?:${also}(?:[0-9]{1,9}(?:ms|[dhms]))+)$` };
}

function lengthAllowed(min: string, max: string): string {
  return `a length of time from ${min} to ${max} is allowed, like "90s", "15m", "24h" or "7d"`;
}

function readDuration(value: unknown, min: string, max: string): number {
  const ms = typeof value === 'string' ? parseDuration(value) : undefined;
  if (ms === undefined) throw new ValueError(`${showValue(value)} is not a duration`);
  if (ms < (parseDuration(min) ?? 0) || ms > (parseDuration(max) ?? Number.MAX_SAFE_INTEGER)) {
    throw new ValueError(`${showValue(value)} is out of range`);
  }
  return ms;
}

/** A key that is known and allows no value yet. */
export function refused(what: string, instead: string): Schema<never> {
  return reading(instead, { not: {} }, (): never => {
    throw new ValueError(what);
  });
}
