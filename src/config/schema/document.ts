/**
 * A configuration before it is understood: the file's document with the flags laid over it, and for every value the
 * place it came from. Flags win; a flag that may be repeated replaces the whole list of the file.
 */
import type { z } from 'zod';
import { ConfigError, type ConfigProblem, formatPath, type Origin, showValue } from '#config/schema/config-problem.js';
import { type JsonText, JsonTextError, type Path, parseJsonText } from '#config/schema/json-text.js';
import { type FlagValue, fileValue, type Setting } from '#config/schema/setting.js';

export type FileText = {
  readonly name: string;
  readonly text: string;
  /** What reads the text; absent: it is JSON. @throws JsonTextError */
  readonly parse?: (text: string) => JsonText;
};

export type ConfigSource = {
  /** Absent: nothing but flags and defaults. `name` is how messages call it. */
  readonly file?: FileText;
  readonly flags?: readonly FlagValue[];
};

/** A problem found, at a path of the document. */
export type Finding = { readonly path: Path; readonly message: string };

const fileBytesMax = 4 * 1024 * 1024;
/** Problems that are shown: a person reads no more. */
const problemsMax = 100;

export class ConfigDocument {
  /** The merged object, under the keys of the settings (not their DC/OS aliases). */
  readonly value: Readonly<Record<string, unknown>>;
  readonly #name: string;
  readonly #json: JsonText | undefined;
  readonly #flags = new Map<string, Setting>();
  readonly #aliases = new Map<string, string>();

  /** @throws ConfigError when the file is not JSON object, or names a value twice */
  constructor(source: ConfigSource, settings: readonly Setting[]) {
    this.#name = source.file?.name ?? '';
    this.#json = source.file === undefined ? undefined : parseFile(source.file);
    const value =
      this.#json === undefined
        ? {}
        : {
            ...object(
              this.#json.value,
              this.#name,
              source.file?.parse === undefined ? 'a JSON object { … }' : 'a map of keys and values',
            ),
          };
    // Names the JSON Schema of the file, for editors.
    if (typeof value.$schema === 'string') delete value.$schema;
    this.#rename(value, settings);
    for (const given of source.flags ?? []) {
      const setting = settings.find(({ flag }) => flag === given.flag);
      if (setting === undefined) throw new Error(`${given.flag} is in no table of settings`);
      this.#flags.set(setting.key, setting);
      assign(value, setting.key.split('.'), fileValue(setting, given.value));
    }
    this.value = value;
  }

  /** The value at a path; undefined when there is none. */
  at(...path: Path): unknown {
    return path.reduce<unknown>((value, step) => {
      if (Array.isArray(value)) return typeof step === 'number' ? value[step] : undefined;
      return isObject(value) ? value[step] : undefined;
    }, this.value);
  }

  origin(path: Path): Origin {
    const given = this.#given(path);
    if (given !== undefined) return { kind: 'flag', flag: given.setting.flag };
    if (this.#json === undefined) return { kind: 'default' };
    return { kind: 'file', file: this.#name, line: this.#json.line(this.#written(path)) };
  }

  problem({ path, message }: Finding): ConfigProblem {
    const words = this.#given(path) === undefined ? message : this.#ofFlag(path, message);
    return { origin: this.origin(path), key: formatPath(this.#written(path)), message: words };
  }

  /** The flag that a value came with, and where in it. */
  #given(path: Path): { readonly setting: Setting; readonly inside: Path } | undefined {
    for (let length = path.length; length > 0; length--) {
      const setting = this.#flags.get(formatPath(path.slice(0, length)));
      if (setting !== undefined) return { setting, inside: path.slice(length) };
    }
    return undefined;
  }

  /** A flag that stands for an object: which part of it is wrong, and its form where it is none. */
  #ofFlag(path: Path, message: string): string {
    const { setting, inside } = this.#given(path) ?? {};
    if (setting === undefined || inside === undefined || inside.length === 0) return message;
    const value = this.at(...path);
    if (inside.length === 1 && typeof value === 'string' && setting.takes !== undefined) {
      return `${showValue(value)} has another form: ${setting.takes} is allowed`;
    }
    const all = this.at(...path.slice(0, -inside.length));
    const part = formatPath(Array.isArray(all) && all.length > 1 ? inside : inside.slice(1));
    return part === '' ? message : `${part}: ${message}`;
  }

  /**
   * The value by its schema.
   * @param relations what has to hold between keys; looked at even when single keys are wrong, so that all
   *   problems come at once
   * @throws ConfigError
   */
  read<T>(schema: z.ZodType<T>, relations: (document: ConfigDocument) => readonly Finding[]): T {
    const result = schema.safeParse(this.value);
    const findings = [...(result.success ? [] : result.error.issues.flatMap(findingsOf)), ...relations(this)];
    if (!result.success || findings.length > 0) throw new ConfigError(this.#inOrder(findings));
    return result.data;
  }

  #inOrder(findings: readonly Finding[]): readonly ConfigProblem[] {
    const place = ({ origin }: ConfigProblem): number => (origin.kind === 'file' ? origin.line : 0);
    const problems = findings.slice(0, problemsMax).map((finding) => this.problem(finding));
    problems.sort((a, b) => place(a) - place(b));
    const more = findings.length - problems.length;
    if (more > 0) problems.push({ origin: this.origin([]), key: '', message: `${more} more problems are not shown` });
    return problems;
  }

  /** The path as the file has it. */
  #written(path: Path): Path {
    const [first, ...rest] = path;
    const alias = typeof first === 'string' && !this.#flags.has(first) ? this.#aliases.get(first) : undefined;
    return alias === undefined ? path : [alias, ...rest];
  }

  #rename(value: Record<string, unknown>, settings: readonly Setting[]): void {
    for (const { key, alias } of settings) {
      if (alias === undefined || !(alias in value)) continue;
      if (key in value) {
        const message = `${showValue(value[alias])} stands beside ${key}, which is the same setting: leave one of them out`;
        throw new ConfigError([this.problem({ path: [alias], message })]);
      }
      value[key] = value[alias];
      delete value[alias];
      this.#aliases.set(key, alias);
    }
  }
}

function parseFile({ name, text, parse }: FileText): JsonText {
  if (text.length > fileBytesMax) {
    throw new ConfigError([at(name, 1, `has ${text.length} characters: at most ${fileBytesMax} are allowed`)]);
  }
  try {
    return (parse ?? parseJsonText)(text);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    throw new ConfigError([
      at(name, error.line, `no ${parse === undefined ? 'JSON' : 'YAML'}: ${error.message} (column ${error.column})`),
    ]);
  }
}

function at(file: string, line: number, message: string): ConfigProblem {
  return { origin: { kind: 'file', file, line }, key: '', message };
}

function object(value: unknown, name: string, expected: string): Readonly<Record<string, unknown>> {
  if (isObject(value)) return value;
  throw new ConfigError([at(name, 1, `${showValue(value)} is not a configuration: ${expected} is expected`)]);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Sets a value deep inside, on copies of what is on the way. */
function assign(target: Record<string, unknown>, [key = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  const inner = target[key];
  const copy = isObject(inner) ? { ...inner } : {};
  assign(copy, rest, value);
  target[key] = copy;
}

function findingsOf(issue: z.core.$ZodIssue): Finding[] {
  const path = issue.path.filter((step) => typeof step !== 'symbol');
  if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }];
  const messages = issue.message.split('\n');
  return issue.keys.map((key, at) => ({ path: [...path, key], message: messages[at] ?? issue.message }));
}
