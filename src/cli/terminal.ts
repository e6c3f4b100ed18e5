/**
 * Where the command line writes. What is asked for goes to stdout, everything about it to stderr. A terminal has
 * columns and perhaps colours; a pipe has neither, so that what a script reads is never cut short or painted.
 */
import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { getSystemErrorMap, stripVTControlCharacters, styleText } from 'node:util';
import { printable, printableLines } from '#text/printable-text.js';

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

export type Terminal = {
  /** Undefined: no terminal, lines may be as long as they are. */
  readonly columns: number | undefined;
  /** Whether stdin and stdout are terminals, so that a question can be asked and answered. */
  readonly interactive: boolean;
  /** To stdout. Everything is made printable here but line feeds and what `paint` added. */
  write(text: string): void;
  /** To stderr, made printable as in `write`. */
  note(text: string): void;
  paint(style: Style, text: string): string;
  /** The same for what goes to stderr. */
  paintNote(style: Style, text: string): string;
  /** Asks on stderr and reads one line of stdin; the empty text at the end of the input. */
  ask(question: string): Promise<string>;
  /** Ms since 1970. */
  now(): number;
  /** Resolves after so many ms. */
  pause(ms: number): Promise<void>;
  /** Empties the screen and goes to its first line; in a pipe an empty line stands for it. */
  clear(): void;
};

const columnsMin = 40;

/** The terminal of this process. `NO_COLOR` (no-color.org) and `TERM=dumb` turn colours off, `FORCE_COLOR` turns them on. */
export function processTerminal(): Terminal {
  const painter = (file: number) => (colours(process.env, isatty(file)) ? paint : plain);
  return {
    columns: process.stdout.isTTY ? Math.max(columnsMin, process.stdout.columns || 80) : undefined,
    interactive: isatty(0) && isatty(1),
    write: (text) => void process.stdout.write(safe(text)),
    note: (text) => void process.stderr.write(safe(text)),
    ask,
    paint: painter(1),
    paintNote: painter(2),
    now: Date.now,
    pause: (ms) => delay(ms),
    clear: () => void process.stdout.write(process.stdout.isTTY ? '\u001b[H\u001b[2J\u001b[3J' : '\n'),
  };
}

export function colours(environment: NodeJS.ProcessEnv, terminal: boolean): boolean {
  if (environment.NO_COLOR !== undefined && environment.NO_COLOR !== '') return false;
  const { FORCE_COLOR: forced } = environment;
  if (forced !== undefined && forced !== '' && forced !== '0' && forced !== 'false') return true;
  return terminal && environment.TERM !== 'dumb';
}

/**
 * Sequences of ours carry a number that was drawn for this process. Text from another machine can't know it, so
 * `safe` tells a colour of ours from one that a name or an error brought along.
 */
const seal = Array.from({ length: 3 }, () => randomInt(1_000, 10_000)).join(';');
const sealed = new RegExp(String.raw`(\u001b\[)${seal};([0-9;]*m)`);

function paint(style: Style, text: string): string {
  if (text === '') return '';
  return styleText(style, printableLines(text), { validateStream: false }).replaceAll('\u001b[', `\u001b[${seal};`);
}

/** A tab of ours, which `safe` lets through; tabs of other texts become blanks. */
const sealedTab = `\u001b[${seal};t`;

/** The text with its tabs kept: for one that has tabs of the user, and none of another machine. */
export function keepTabs(text: string): string {
  return text.replaceAll('\t', sealedTab);
}

/** The text as it may reach a terminal: the sequences of `paint`, line feeds, tabs of ours, and printable characters. */
export function safe(text: string): string {
  return text.split(sealedTab).map(safeBetweenTabs).join('\t');
}

function safeBetweenTabs(text: string): string {
  // Split at two groups, the pieces are: text, start, rest, text, …
  return text
    .split(sealed)
    .map((piece, at) => (at % 3 === 0 ? printableLines(piece) : piece))
    .join('');
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  try {
    return await Promise.race([lines.question(safe(question)), ended]);
  } finally {
    lines.close();
  }
}

export function plain(_style: Style, text: string): string {
  return text;
}

/**
 * Ends the process when its output can't be written. A reader that has gone (`sublet agents | head`) ends it in silence;
 * any other error, a full disk for one, is one line on stderr and exit code 1.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      if (stream === process.stdout) sayUnwritten(error);
      process.exit(1);
    });
  }
}

function sayUnwritten({ errno, code, message }: NodeJS.ErrnoException): void {
  const [, words = message] = getSystemErrorMap().get(errno ?? 0) ?? [];
  try {
    writeSync(2, `sublet: the output can’t be written: ${printable(words)} (${code ?? 'error'})\n`);
  } catch {
    // Stderr can't be written either: the exit code is all that is left.
  }
}

/** Breaks lines that are wider than the terminal between words; what follows is indented by two more. A pipe gets them whole. */
export function wrap(text: string, { columns }: Pick<Terminal, 'columns'>): string {
  if (columns === undefined) return text;
  return text
    .split('\n')
    .flatMap((line) => wrapLine(line, columns))
    .join('\n');
}

function wrapLine(line: string, columns: number): readonly string[] {
  const indent = /^ */.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  let now = '';
  for (const word of line.slice(indent.length).split(' ')) {
    const longer = now === '' ? indent + word : `${now} ${word}`;
    if (now !== '' && stripVTControlCharacters(longer).length > columns) {
      lines.push(now);
      now = `${indent}  ${word}`;
    } else now = longer;
  }
  return [...lines, now];
}
