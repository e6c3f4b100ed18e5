/**
 * The part of kubectl's JSONPath templates that `-o jsonpath=` takes: text with expressions in braces.
 *
 *     {.agents[*].nodeIp}        fields and all items of a list; results are separated by a blank
 *     {.agents[0]}  {.agents[-1]}  {.agents[0:2]}     one item, from the end, a range
 *     {['a.b']}                  a field with any name
 *     {..subnet}                 a field at any depth
 *     {.agents[?(@.reachable==true)].agentId}         items for which a comparison holds: == != < <= > >=, or a field is there
 *     {range .agents[*]}{.agentId}{"\t"}{.nodeIp}{"\n"}{end}
 *
 * A field that is not there prints nothing: canonical JSON leaves default values out.
 */
import type { Json } from '#api/proto-json.js';
import { printable } from '#text/printable-text.js';

/** Where an expression is not a path: at which character, counted from 1, and what is wrong. */
export class JsonPathError extends Error {
  override readonly name = 'JsonPathError';
}

export type JsonPathStep =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'anywhere'; readonly name: string }
  | { readonly kind: 'all' }
  | { readonly kind: 'item'; readonly at: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number | undefined }
  | { readonly kind: 'filter'; readonly test: Test };

type Literal = string | number | boolean;
type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';
/** Without a comparison: the path leads to something. */
type Test = { readonly path: JsonPath; readonly compared?: { readonly by: Comparison; readonly to: Literal } };

export type JsonPath = readonly JsonPathStep[];

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'path'; readonly path: JsonPath }
  | { readonly kind: 'each'; readonly path: JsonPath; readonly parts: readonly Part[] };

export type Template = readonly Part[];

/** Longer templates and deeper `range`s are refused. */
const lengthMax = 4_096;
const rangesMax = 8;

/** A template as it follows `-o jsonpath=`. Without braces the whole is one expression. @throws JsonPathError */
export function parseTemplate(text: string): Template {
  if (text === '') throw new JsonPathError('a template is needed, like {.agents[*].nodeIp}');
  if (text.length > lengthMax) throw new JsonPathError(`${text.length} characters are more than ${lengthMax}`);
  const bare = !text.includes('{') && /^[.[$]/.test(text);
  return new Reader(bare ? `{${text}}` : text, bare ? 1 : 0).template();
}

/** One path, with braces and the first dot or without: `agentId`, `.presence.state`. @throws JsonPathError */
export function parsePath(text: string): JsonPath {
  const inner = /^\{(.*)\}$/.exec(text)?.[1] ?? text;
  const [part, more] = parseTemplate(/^[.[$]/.test(inner) ? inner : `.${inner}`);
  if (part?.kind !== 'path' || more !== undefined) throw new JsonPathError('one path is needed, like .agentId');
  return part.path;
}

/** What a template makes of a value. Texts of the value come out printable. */
export function render(template: Template, value: Json): string {
  return parts(template, value);
}

function parts(template: Template, here: Json): string {
  return template.map((part) => textOf(part, here)).join('');
}

function textOf(part: Part, here: Json): string {
  switch (part.kind) {
    case 'text':
      return part.text;
    case 'path':
      return select(part.path, here).map(shown).join(' ');
    case 'each':
      return select(part.path, here)
        .map((item) => parts(part.parts, item))
        .join('');
  }
}

function shown(value: Json): string {
  if (typeof value === 'string') return printable(value);
  return value === null ? '' : printable(JSON.stringify(value));
}

/** All that a path leads to, in the order of the value. */
export function select(path: JsonPath, value: Json): readonly Json[] {
  return path.reduce<readonly Json[]>((found, step) => found.flatMap((each) => taken(step, each)), [value]);
}

function taken(step: JsonPathStep, value: Json): readonly Json[] {
  switch (step.kind) {
    case 'field':
      return fieldOf(value, step.name);
    case 'anywhere':
      return anywhere(step.name, value);
    case 'all':
      return inner(value);
    case 'item': {
      const found = isList(value) ? value.at(step.at) : undefined;
      return found === undefined ? [] : [found];
    }
    case 'range':
      return isList(value) ? value.slice(step.from, step.to) : [];
    case 'filter':
      return inner(value).filter((each) => holds(step.test, each));
  }
}

function anywhere(name: string, value: Json): readonly Json[] {
  const here = name === '*' ? inner(value) : fieldOf(value, name);
  return [...here, ...inner(value).flatMap((each) => anywhere(name, each))];
}

function fieldOf(value: Json, name: string): readonly Json[] {
  if (typeof value !== 'object' || value === null || isList(value) || !Object.hasOwn(value, name)) return [];
  const found = value[name];
  return found === undefined ? [] : [found];
}

function inner(value: Json): readonly Json[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function holds({ path, compared }: Test, value: Json): boolean {
  const found = select(path, value);
  if (compared === undefined) return found.length > 0;
  const { by, to } = compared;
  // What is not there differs from everything.
  if (found.length === 0) return by === '!=';
  return found.some((each) => compares(each, by, to));
}

function compares(value: Json, by: Comparison, to: Literal): boolean {
  // 64-bit numbers are texts in canonical JSON.
  const one = typeof to === 'number' && typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (by === '==') return one === to;
  if (by === '!=') return one !== to;
  if (typeof one !== typeof to || one === null || typeof one === 'object') return false;
  switch (by) {
    case '<':
      return one < to;
    case '<=':
      return one <= to;
    case '>':
      return one > to;
    case '>=':
      return one >= to;
  }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\', '"': '"', "'": "'" };

/** Reads a template from left to right. */
class Reader {
  readonly #text: string;
  /** Characters before `text` that the user did not write. */
  readonly #added: number;
  #at = 0;

  constructor(text: string, added: number) {
    this.#text = text;
    this.#added = added;
  }

  template(ranges = 0): Part[] {
    const found: Part[] = [];
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] !== '{') {
        const end = this.#text.indexOf('{', this.#at);
        const to = end < 0 ? this.#text.length : end;
        found.push({ kind: 'text', text: this.#text.slice(this.#at, to) });
        this.#at = to;
        continue;
      }
      this.#at++;
      this.#blanks();
      if (this.#takes(/end\s*\}/y)) {
        if (ranges === 0) throw this.#error('{end} without {range …}');
        return found;
      }
      found.push(this.#expression(ranges));
    }
    if (ranges > 0) throw this.#error('{range …} without {end}');
    return found;
  }

  #expression(ranges: number): Part {
    if (this.#takes(/range\s+/y)) {
      if (ranges === rangesMax) throw this.#error(`more than ${rangesMax} ranges within one another`);
      const path = this.#path();
      this.#close();
      return { kind: 'each', path, parts: this.template(ranges + 1) };
    }
    const quote = this.#text[this.#at];
    const part: Part =
      quote === '"' || quote === "'" ? { kind: 'text', text: this.#quoted() } : { kind: 'path', path: this.#path() };
    this.#close();
    return part;
  }

  #path(): JsonPath {
    const steps: JsonPathStep[] = [];
    this.#takes(/[$@]/y);
    for (;;) {
      const dots = this.#takes(/\.\.?/y);
      if (dots !== undefined) {
        if (dots === '.' && /[\s}[)]|$/y.test(this.#text[this.#at] ?? '')) continue;
        const name = this.#takes(/\*|[A-Za-z0-9_-]+/y);
        if (name === undefined) throw this.#error('the name of a field is needed after a dot');
        if (dots === '..') steps.push({ kind: 'anywhere', name });
        else steps.push(name === '*' ? { kind: 'all' } : { kind: 'field', name });
        continue;
      }
      if (this.#takes(/\[/y) === undefined) break;
      steps.push(this.#subscript());
      if (this.#takes(/\s*\]/y) === undefined) throw this.#error('] is missing');
    }
    this.#blanks();
    return steps;
  }

  #subscript(): JsonPathStep {
    this.#blanks();
    const from = this.#takes(/-?\d{1,9}/y);
    if (this.#takes(/\s*:\s*/y) !== undefined) {
      const to = this.#takes(/-?\d{1,9}/y);
      return { kind: 'range', from: Number(from ?? 0), to: to === undefined ? undefined : Number(to) };
    }
    if (from !== undefined) return { kind: 'item', at: Number(from) };
    if (this.#takes(/\*/y) !== undefined) return { kind: 'all' };
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return { kind: 'field', name: this.#quoted() };
    if (this.#takes(/\?\s*\(\s*/y) === undefined) throw this.#error('a number, *, a quoted name or ?(…) is needed');
    const test = this.#test();
    if (this.#takes(/\s*\)/y) === undefined) throw this.#error(') is missing');
    return { kind: 'filter', test };
  }

  #test(): Test {
    if (this.#text[this.#at] !== '@') throw this.#error('a path of the item is needed, like @.agentId');
    const path = this.#path();
    const by = this.#takes(/==|!=|<=|>=|<|>/y);
    if (by === undefined) return { path };
    this.#blanks();
    return { path, compared: { by: comparisonOf(by), to: this.#literal() } };
  }

  #literal(): Literal {
    const quote = this.#text[this.#at];
    if (quote === '"' || quote === "'") return this.#quoted();
    const word = this.#takes(/true|false|-?\d+(?:\.\d+)?/y);
    if (word === undefined) throw this.#error('a quoted text, a number, true or false is needed');
    return word === 'true' || word === 'false' ? word === 'true' : Number(word);
  }

  #quoted(): string {
    const quote = this.#text[this.#at++];
    let out = '';
    for (;;) {
      const character = this.#text[this.#at++];
      if (character === undefined) throw this.#error(`${quote} is missing`);
      if (character === quote) return out;
      if (character !== '\\') {
        out += character;
        continue;
      }
      const escaped = escapes[this.#text[this.#at++] ?? ''];
      if (escaped === undefined) {
        throw this.#error(String.raw`only \n, \t, \r, \\, \" and \' are known after \ `.trim());
      }
      out += escaped;
    }
  }

  #close(): void {
    this.#blanks();
    if (this.#takes(/\}/y) === undefined) throw this.#error('} is missing, or this is not a path');
  }

  #blanks(): void {
    this.#takes(/\s*/y);
  }

  #takes(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const found = what.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #error(what: string): JsonPathError {
    const at = Math.max(1, Math.min(this.#at, this.#text.length) + 1 - this.#added);
    return new JsonPathError(`at character ${at}: ${what}`);
  }
}

function comparisonOf(text: string): Comparison {
  switch (text) {
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
      return text;
    default:
      return '>=';
  }
}
