/**
 * A JSON document (RFC 8259) with the line of every value, so that a wrong configuration can be shown where it is
 * wrong. Stricter than `JSON.parse` in one thing: a key that stands twice in an object is an error, since one of the
 * two would be ignored without a word. Comments are no JSON and are refused as such.
 */

/** A key or an array position on the way to a value: `network.overlays[0].name` is ['network', 'overlays', 0, 'name']. */
export type Path = readonly (string | number)[];

export type JsonText = {
  readonly value: unknown;
  /** Line (from 1) of the value at this path, or of the nearest thing around it that exists. */
  line(path: Path): number;
};

/** The text is not JSON document. The message says what was expected; `line` and `column` count from 1. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError';
  readonly line: number;
  readonly column: number;

  constructor(message: string, line: number, column: number) {
    super(message);
    this.line = line;
    this.column = column;
  }
}

const depthMax = 32;

/**
 * Reads a whole document.
 * @throws JsonTextError
 */
export function parseJsonText(text: string): JsonText {
  const root = new Reader(text).document();
  return {
    value: plain(root),
    line(path) {
      let at = root;
      for (const step of path) {
        const inner = at.inner.get(step);
        if (inner === undefined) break;
        at = inner;
      }
      return at.line;
    },
  };
}

type Node = {
  readonly line: number;
  readonly inner: ReadonlyMap<string | number, Node>;
} & (
  | { readonly kind: 'object' }
  | { readonly kind: 'array' }
  | { readonly kind: 'scalar'; readonly value: string | number | boolean | null }
);

const none: ReadonlyMap<string | number, Node> = new Map();

function plain(node: Node): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'array':
      return [...node.inner.values()].map(plain);
    case 'object':
      // `fromEntries` defines own properties, so that a key named `__proto__` is a key like any other.
      return Object.fromEntries([...node.inner].map(([key, value]) => [key, plain(value)]));
  }
}

const stringToken = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const wordToken = /[A-Za-z_$][\w$]*/y;

class Reader {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    // A byte order mark is what some editors put before the text.
    this.#text = text.startsWith('\ufeff') ? text.slice(1) : text;
  }

  document(): Node {
    this.#space();
    if (this.#next() === '') throw this.#error('the file is empty: a JSON object { … } is expected');
    const value = this.#value(0);
    this.#space();
    if (this.#next() !== '') throw this.#error(`${this.#seen()} after the end of the document`);
    return value;
  }

  #value(depth: number): Node {
    if (depth > depthMax) throw this.#error(`nested more than ${depthMax} deep`);
    const line = this.#line;
    const next = this.#next();
    if (next === '{') return { kind: 'object', line, inner: this.#object(depth) };
    if (next === '[') return { kind: 'array', line, inner: this.#array(depth) };
    if (next === '"') return { kind: 'scalar', line, inner: none, value: this.#string() };
    if (/[-0-9]/.test(next)) {
      const token = this.#token(numberToken);
      if (token === undefined) throw this.#error(`${this.#seen()} where a number is expected`);
      return { kind: 'scalar', line, inner: none, value: Number(token) };
    }
    const word = this.#token(wordToken, false);
    if (word === 'true' || word === 'false' || word === 'null') {
      this.#token(wordToken);
      return { kind: 'scalar', line, inner: none, value: word === 'null' ? null : word === 'true' };
    }
    throw this.#error(`${this.#seen()} where a value is expected`);
  }

  #object(depth: number): ReadonlyMap<string, Node> {
    const members = new Map<string, Node>();
    this.#elements('{', '}', () => {
      if (this.#next() !== '"') throw this.#error(`${this.#seen()} where a key in double quotes is expected`);
      const { line, column } = this.#position();
      const key = this.#string();
      if (members.has(key)) throw new JsonTextError(`the key "${key}" is there twice`, line, column);
      this.#space();
      this.#expect(':', `after the key "${key}"`);
      this.#space();
      // A member is where its key is, also when the value begins further down.
      members.set(key, { ...this.#value(depth + 1), line });
    });
    return members;
  }

  #array(depth: number): ReadonlyMap<number, Node> {
    const elements = new Map<number, Node>();
    this.#elements('[', ']', () => elements.set(elements.size, this.#value(depth + 1)));
    return elements;
  }

  #elements(open: string, close: string, element: () => void): void {
    this.#expect(open, '');
    this.#space();
    if (this.#next() === close) {
      this.#at++;
      return;
    }
    for (;;) {
      element();
      this.#space();
      if (this.#next() === close) break;
      if (this.#next() !== ',') throw this.#error(`${this.#seen()} where "," or "${close}" is expected`);
      this.#at++;
      this.#space();
      if (this.#next() === close) throw this.#error(`"," before "${close}"`);
    }
    this.#at++;
  }

  #string(): string {
    const token = this.#token(stringToken);
    if (token === undefined) throw this.#error('a text that does not end on its line, or has a wrong \\ in it');
    return String(JSON.parse(token)); // The token is checked: this only undoes the escapes.
  }

  #token(pattern: RegExp, take = true): string | undefined {
    pattern.lastIndex = this.#at;
    const token = pattern.exec(this.#text)?.[0];
    if (token !== undefined && take) this.#at += token.length;
    return token;
  }

  #expect(mark: string, where: string): void {
    if (this.#next() !== mark) throw this.#error(`${this.#seen()} where "${mark}" is expected ${where}`.trim());
    this.#at++;
  }

  #space(): void {
    for (; ; this.#at++) {
      const next = this.#next();
      if (next === '\n') {
        this.#line++;
        this.#lineStart = this.#at + 1;
      } else if (next !== ' ' && next !== '\t' && next !== '\r') return;
    }
  }

  #next(): string {
    return this.#text[this.#at] ?? '';
  }

  #seen(): string {
    const next = this.#next();
    if (next === '') return 'the end of the file';
    if (next === '/' || next === '#') return `"${next}" (JSON has no comments)`;
    const word = this.#token(wordToken, false);
    return JSON.stringify(word?.slice(0, 32) ?? next);
  }

  #position(): { line: number; column: number } {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }

  #error(message: string): JsonTextError {
    const { line, column } = this.#position();
    return new JsonTextError(message, line, column);
  }
}
