/**
 * Runs conformance files: tells of which kind a file is, runs its directives one by one, and compares what they
 * produce with what is expected, up to the first difference.
 */
import { basename, dirname } from 'node:path';
import { Interaction } from '#cluster-test/conformance/interaction.js';
import { MembershipScript } from '#cluster-test/conformance/membership.js';
import { runQuorum } from '#cluster-test/conformance/quorum.js';
import { type Directive, parseScript, ScriptError } from '#cluster-test/conformance/script.js';

export type Kind = 'interaction' | 'quorum' | 'confchange';

export type Outcome =
  | { readonly ok: true; readonly kind: Kind; readonly commands: number }
  | { readonly ok: false; readonly line: number | undefined; readonly report: string };

const marks: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ...(['committed', 'vote'] as const).map((command): [string, Kind] => [command, 'quorum']),
  ...(['simple', 'enter-joint', 'leave-joint'] as const).map((command): [string, Kind] => [command, 'confchange']),
]);

/** By the first command that belongs to one kind alone, else by the name of the folder, else interaction. */
export function kindOf(path: string, directives: readonly Directive[]): Kind {
  const folder = basename(dirname(path));
  const byFolder = (['quorum', 'confchange'] as const).find((kind) => kind === folder);
  const marked = directives.find(({ command }) => marks.has(command));
  return (marked && marks.get(marked.command)) ?? byFolder ?? 'interaction';
}

/** Runs the text of one file. `path` serves to tell its kind. Every error is part of the outcome. */
export function runFile(path: string, text: string): Outcome {
  let line: number | undefined;
  try {
    const directives = parseScript(text);
    if (directives.length === 0) {
      throw new ScriptError('there are no commands in this file');
    }
    const kind = kindOf(path, directives);
    const run = runnerOf(kind);
    for (const directive of directives) {
      line = directive.line;
      const actual = resultLines(run(directive));
      const difference = compare(kind, directive.expected, actual);
      if (difference !== undefined) {
        return { ok: false, line, report: `${title(directive)}\n${difference}` };
      }
    }
    return { ok: true, kind, commands: directives.length };
  } catch (error) {
    return { ok: false, line, report: describeError(error) };
  }
}

/** A wrong file needs no stack; a broken invariant or a defect of the runner does. */
function describeError(error: unknown): string {
  if (error instanceof ScriptError) {
    return error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function runnerOf(kind: Kind): (directive: Directive) => string {
  switch (kind) {
    case 'interaction': {
      const interaction = new Interaction();
      return (directive) => interaction.run(directive);
    }
    case 'confchange': {
      const membership = new MembershipScript();
      return (directive) => membership.run(directive);
    }
    case 'quorum':
      return runQuorum;
  }
}

function title({ command, args }: Directive): string {
  return [command, ...args.map(({ key, values }) => (values.length > 0 ? `${key}=(${values.join(',')})` : key))].join(
    ' ',
  );
}

function resultLines(result: string): readonly string[] {
  const lines = result.split('\n');
  if (lines.at(-1) === '') {
    lines.pop();
  }
  return lines;
}

const logLine = /^ *(DEBUG|INFO|WARN|ERROR|FATAL) /;

/** The difference as text; undefined if there is none that counts. */
function compare(kind: Kind, expected: readonly string[], actual: readonly string[]): string | undefined {
  if (kind !== 'interaction') {
    return difference(expected, actual);
  }
  const logged = actual.find((line) => logLine.test(line));
  if (logged !== undefined) {
    return `the runner printed what looks like a log line: ${logged}`;
  }
  return difference(canonical(expected.filter((line) => !logLine.test(line))), canonical(actual));
}

/** `ok` alone means the same as nothing at all. */
function canonical(lines: readonly string[]): readonly string[] {
  return lines.length === 1 && lines[0] === 'ok' ? [] : lines;
}

const contextLines = 3;

/** What differs between the first and the last line that do, with some lines around it; undefined if nothing does. */
function difference(expected: readonly string[], actual: readonly string[]): string | undefined {
  const shorter = Math.min(expected.length, actual.length);
  let head = 0;
  while (head < shorter && expected[head] === actual[head]) {
    head += 1;
  }
  if (head === expected.length && head === actual.length) {
    return undefined;
  }
  let tail = 0;
  while (tail < shorter - head && expected.at(-1 - tail) === actual.at(-1 - tail)) {
    tail += 1;
  }
  const after = expected.length - tail;
  return [
    '  (- expected, + actual)',
    ...expected.slice(Math.max(0, head - contextLines), head).map((line) => `    ${line}`),
    ...expected.slice(head, after).map((line) => `  - ${line}`),
    ...actual.slice(head, actual.length - tail).map((line) => `  + ${line}`),
    ...expected.slice(after, after + contextLines).map((line) => `    ${line}`),
  ].join('\n');
}
