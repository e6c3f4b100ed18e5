/**
 * Contexts: connections to masters by name, in `$XDG_CONFIG_HOME/sublet/contexts.json` (`~/.config/sublet/contexts.json`), or
 * the file that SUBLET_CONTEXTS names. They hold addresses and paths, no secrets.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { usage } from '#cli/failure.js';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { writeDurably } from '#files/durable-file.js';
import { jsonText } from '#text/printable-text.js';

/** What a context may set, as the flags are called: `master` is `--master`. */
export const contextKeys = ['master', 'tls', 'tls-ca', 'tls-cert', 'tls-key', 'timeout'] as const;
export type ContextKey = (typeof contextKeys)[number];
export type Context = Readonly<Partial<Record<ContextKey, string>>>;

export type Contexts = {
  /** The one that is used where none is named; empty: none. */
  readonly current: string;
  readonly contexts: Readonly<Record<string, Context>>;
};

export const contextNameForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export function contextFile(environment: NodeJS.ProcessEnv = process.env): string {
  const { SUBLET_CONTEXTS: given, XDG_CONFIG_HOME: config } = environment;
  return given || join(config || join(environment.HOME || homedir(), '.config'), 'sublet', 'contexts.json');
}

/** @throws Failure for a file that holds something else */
export function readContexts(file: string = contextFile()): Contexts {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) {
      return { current: '', contexts: {} };
    }
    throw usage(`${file}: ${errorText(error)}`);
  }
  try {
    return parsed(JSON.parse(text));
  } catch (error) {
    throw usage(
      `${file} holds no contexts: ${errorText(error)}`,
      'Correct it, or move it away and make it anew: sublet context set --help',
    );
  }
}

/** Writes all of it at once, for its owner alone. */
export function writeContexts(contexts: Contexts, file: string = contextFile()): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeDurably(file, `${jsonText(contexts, 2)}\n`);
  } catch (error) {
    throw usage(`${file}: ${errorText(error)}`);
  }
}

/** The context of that name. @throws Failure that names those that there are */
export function contextNamed(name: string, { contexts }: Contexts, from: string): Context {
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(contexts).join(', ') || 'none';
  throw usage(`${from}: there is no context "${name}": there is ${names}`, 'sublet context set --help');
}

/** @throws Error that says what is wrong */
function parsed(value: unknown): Contexts {
  const { current, contexts, ...others } = record('the file', value);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new Error(`"${unknown}" is no key of it: current and contexts are`);
  if (typeof current !== 'string') throw new Error('current is no text');
  const all = Object.entries(record('contexts', contexts)).map(([name, context]) => {
    const entries = Object.entries(record(name, context)).map(([key, of]) => {
      if (!contextKeys.some((known) => known === key)) {
        throw new Error(`${name}: "${key}" is no key: ${contextKeys.join(', ')} are`);
      }
      if (typeof of !== 'string') throw new Error(`${name}: ${key} is no text`);
      return [key, of] as const;
    });
    return [name, Object.fromEntries(entries)] as const;
  });
  return { current, contexts: Object.fromEntries(all) };
}

function record(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error(`${what} is no object`);
}
