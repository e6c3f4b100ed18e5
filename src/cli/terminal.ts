/**
 * Where the command line writes. What is asked for goes to stdout, everything about it to stderr. A terminal has
 * columns and perhaps colours; a pipe has neither, so that what a script reads is never cut short or painted.
 */
import { isatty } from 'node:tty';
import { stripVTControlCharacters, styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

export type Terminal = {
  /** Undefined: no terminal, lines may be as long as they are. */
  readonly columns: number | undefined;
  write(text: string): void;
  /** To stderr. */
  note(text: string): void;
  paint(style: Style, text: string): string;
  /** The same for what goes to stderr. */
  paintNote(style: Style, text: string): string;
  /** Ms since 1970. */
  now(): number;
};

const columnsMin = 40;

/** The terminal of this process. `NO_COLOR` (no-color.org) and `TERM=dumb` turn colours off, `FORCE_COLOR` turns them on. */
export function processTerminal(): Terminal {
  const painter = (file: number) => (colours(process.env, isatty(file)) ? paint : plain);
  return {
    columns: process.stdout.isTTY ? Math.max(columnsMin, process.stdout.columns || 80) : undefined,
    write: (text) => void process.stdout.write(text),
    note: (text) => void process.stderr.write(text),
    paint: painter(1),
    paintNote: painter(2),
    now: Date.now,
  };
}

export function colours(environment: NodeJS.ProcessEnv, terminal: boolean): boolean {
  if (environment.NO_COLOR !== undefined && environment.NO_COLOR !== '') return false;
  const { FORCE_COLOR: forced } = environment;
  if (forced !== undefined && forced !== '' && forced !== '0' && forced !== 'false') return true;
  return terminal && environment.TERM !== 'dumb';
}

function paint(style: Style, text: string): string {
  return text === '' ? '' : styleText(style, text, { validateStream: false });
}

export function plain(_style: Style, text: string): string {
  return text;
}

/**
 * When whoever reads our output has seen enough (`sublet agents | head`), there is nothing left to do and nothing to
 * say about it.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      throw error;
    });
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

/** The text without what would move a cursor or ring a bell: names and errors come from other machines. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');
}
