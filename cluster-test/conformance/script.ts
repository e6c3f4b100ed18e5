/**
 * The grammar of conformance files: directives with arguments and input, each followed by the text that it must
 * produce (README of the conformance folder, section 1).
 */

/** `values` is empty for a bare key, one or more after `=`. */
export type Argument = { readonly key: string; readonly values: readonly string[] };

export type Directive = {
  /** 1-based line of the directive, for reports. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: readonly string[];
};

/** The file itself is wrong: malformed, or it asks for what no file may ask. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
}

const separator = '----';

/** All directives of a file. Throws `ScriptError`. */
export function parseScript(text: string): readonly Directive[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') {
    lines.pop();
  }
  const reader = new LineReader(lines);
  const directives: Directive[] = [];
  for (;;) {
    const head = readHead(reader);
    if (head === undefined) {
      return directives;
    }
    const { command, args } = parseDirective(head.text, head.line);
    directives.push({ line: head.line, command, args, input: readInput(reader), expected: readExpected(reader) });
  }
}

class LineReader {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
  }

  /** Number of the line last taken. */
  get line(): number {
    return this.#at;
  }

  peek(ahead = 0): string | undefined {
    return this.#lines[this.#at + ahead];
  }

  take(): string | undefined {
    const line = this.peek();
    this.#at += line === undefined ? 0 : 1;
    return line;
  }
}

function readHead(reader: LineReader): { readonly text: string; readonly line: number } | undefined {
  for (;;) {
    const raw = reader.take();
    if (raw === undefined) {
      return undefined;
    }
    let text = raw.trim();
    if (text === '' || text.startsWith('#')) {
      continue;
    }
    const { line } = reader;
    while (text.endsWith('\\')) {
      text = `${text.slice(0, -1)} ${(reader.take() ?? '').trim()}`;
    }
    return { text, line };
  }
}

function readInput(reader: LineReader): string {
  const { line } = reader;
  const input: string[] = [];
  for (;;) {
    const next = reader.take();
    if (next === undefined) {
      throw new ScriptError(`line ${line}: no ---- follows the directive`);
    }
    if (next === separator) {
      return input.join('\n').trim();
    }
    input.push(next);
  }
}

function readExpected(reader: LineReader): readonly string[] {
  const expected: string[] = [];
  const blank = (line: string | undefined): boolean => line === undefined || line.trim() === '';
  if (reader.peek() !== separator) {
    while (!blank(reader.peek())) {
      expected.push(reader.take() ?? '');
    }
    reader.take();
    return expected;
  }
  reader.take();
  while (reader.peek() !== separator || reader.peek(1) !== separator) {
    const line = reader.take();
    if (line === undefined) {
      throw new ScriptError(`line ${reader.line}: expected text that began with two ---- lines does not end with two`);
    }
    expected.push(line);
  }
  reader.take();
  reader.take();
  if (!blank(reader.take())) {
    throw new ScriptError(`line ${reader.line}: a blank line must follow the two ---- lines`);
  }
  return expected;
}

/** Cuts a directive line into command and arguments. Throws `ScriptError`. */
export function parseDirective(text: string, line: number): Pick<Directive, 'command' | 'args'> {
  const space = text.indexOf(' ');
  if (space < 0) {
    return { command: text, args: [] };
  }
  const args: Argument[] = [];
  let rest = text.slice(space).trimStart();
  while (rest !== '') {
    const key = /^[^ =]*/.exec(rest)?.[0] ?? '';
    if (key === '') {
      throw new ScriptError(`line ${line}: an argument without a key at "${rest}"`);
    }
    rest = rest.slice(key.length);
    if (!rest.startsWith('=')) {
      args.push({ key, values: [] });
    } else {
      const { values, length } = parseValues(rest.slice(1), line);
      args.push({ key, values });
      rest = rest.slice(1 + length);
    }
    rest = rest.trimStart();
  }
  return { command: text.slice(0, space), args };
}

function parseValues(text: string, line: number): { readonly values: readonly string[]; readonly length: number } {
  if (!text.startsWith('(')) {
    const value = /^[^ ]*/.exec(text)?.[0] ?? '';
    return { values: [value], length: value.length };
  }
  const values: string[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    depth += char === '(' ? 1 : char === ')' ? -1 : 0;
    if (depth === 0 || (depth === 1 && char === ',')) {
      const value = text.slice(start, at);
      values.push(values.length === 0 ? value : value.replace(/^ +/, ''));
      start = at + 1;
    }
    if (depth === 0) {
      const after = text[at + 1];
      if (after !== undefined && after !== ' ') {
        throw new ScriptError(`line ${line}: "${text.slice(at + 1)}" follows a closing parenthesis`);
      }
      return { values, length: at + 1 };
    }
  }
  throw new ScriptError(`line ${line}: the parenthesis in "${text}" is not closed`);
}

/** A plain decimal number. Throws `ScriptError`. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new ScriptError(`"${text}" is no decimal number that can be held exactly`);
  }
  return value;
}

/** Throws `ScriptError`. */
export function parseBoolean(text: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) {
    return true;
  }
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) {
    return false;
  }
  throw new ScriptError(`"${text}" is no boolean`);
}

/** The one value of an argument. Throws `ScriptError`. */
export function singleValue({ key, values }: Argument): string {
  const [value] = values;
  if (value === undefined || values.length !== 1) {
    throw new ScriptError(`${key} has ${values.length} values instead of one`);
  }
  return value;
}
