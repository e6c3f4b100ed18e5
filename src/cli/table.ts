/**
 * Tables of text. A column is as wide as its widest cell. Where the whole is wider than the terminal, the columns that
 * may be narrowed are, the widest first: at first only so far that no word is broken, then so far as each allows. What
 * does not fit goes on in the next line, so that nothing is lost; the first cell, which names its row, is not broken,
 * but has a line to itself. A pipe gets every cell in one line.
 */

import { fold, longestWord } from '#cli/fold.js';
import type { Style, Terminal } from '#cli/terminal.js';
import { printable } from '#text/printable-text.js';

export type Column = {
  readonly title: string;
  readonly align?: 'right';
  /** May be narrowed to this many characters, but not to less than a word of its title; absent: never narrowed. */
  readonly least?: number;
};

export type Cell = string | { readonly text: string; readonly style: Style };

export type TableOptions = {
  readonly titled?: boolean;
  /** Widths of the columns so far: no column becomes narrower than that. They are brought up to date. */
  readonly widths?: number[];
};

const gap = '  ';

/** The lines of a table with its titles; without titles, the lines of its rows. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminal: Pick<Terminal, 'columns' | 'paint'>,
  { titled = true, widths: kept }: TableOptions = {},
): string {
  const titles = columns.map(({ title }): Cell => ({ text: title, style: 'dim' }));
  const lines = titled ? [titles, ...rows] : rows;
  const widths = fitted(columns, lines, terminal.columns, kept);
  kept?.splice(0, kept.length, ...widths);
  return lines
    .flatMap((row) => linesOf(widths, row, terminal.columns))
    .map((row) => `${formatRow(columns, widths, row, terminal.paint)}\n`)
    .join('');
}

/** The lines of one row. */
function linesOf(
  widths: readonly number[],
  row: readonly Cell[],
  room: number | undefined,
): readonly (readonly Cell[])[] {
  const [name = '', ...others] = row;
  const long = room !== undefined && width(name) > (widths[0] ?? 0);
  const alone = long ? pieces(name, room).map((piece) => [piece]) : [];
  const parts = [long ? '' : name, ...others].map((cell, at): readonly Cell[] => {
    return pieces(cell, widths[at] ?? 0);
  });
  const height = Math.max(...parts.map(({ length }) => length));
  return [...alone, ...Array.from({ length: height }, (_, line) => parts.map((part) => part[line] ?? ''))];
}

function pieces(cell: Cell, room: number): readonly Cell[] {
  return fold(textOf(cell), room).map((text) => restyled(cell, text));
}

function restyled(cell: Cell, text: string): Cell {
  return typeof cell === 'string' ? text : { text, style: cell.style };
}

function formatRow(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly Cell[],
  paint: Terminal['paint'],
): string {
  let line = '';
  let blank = '';
  columns.forEach(({ align }, at) => {
    const cell = row[at] ?? '';
    const text = textOf(cell);
    const fill = ' '.repeat(Math.max(0, (widths[at] ?? 0) - text.length));
    const before = align === 'right' ? fill : '';
    // Blanks are held back until something follows them: no line ends in blanks.
    if (text !== '') {
      line += blank + before + (typeof cell === 'string' ? text : paint(cell.style, text));
      blank = '';
    } else blank += before;
    blank += (align === 'right' ? '' : fill) + gap;
  });
  return line;
}

/** The widths, narrowed so that a row fits; as near as the columns allow. */
function fitted(
  columns: readonly Column[],
  lines: readonly (readonly Cell[])[],
  room: number | undefined,
  kept: readonly number[] = [],
): readonly number[] {
  const widest = (measure: (text: string) => number): readonly number[] =>
    columns.map((_, at) => lines.reduce((most, row) => Math.max(most, measure(textOf(row[at] ?? ''))), 0));
  const widths = widest((text) => text.length).map((each, at) => Math.max(each, kept[at] ?? 0));
  if (room === undefined) return widths;
  const cells = room - gap.length * (columns.length - 1);
  const least = columns.map((column, at) =>
    column.least === undefined ? (widths[at] ?? 0) : Math.max(column.least, longestWord(column.title)),
  );
  const words = widest(longestWord);
  const unbroken = least.map((each, at) => Math.max(each, words[at] ?? 0));
  const narrowest = (from: readonly number[]): readonly number[] =>
    narrowed(narrowed(from, unbroken, cells), least, cells);
  const out = narrowest(widths);
  const [name = 0] = out;
  if (name === widths[0]) return out;
  // A longer name has a line to itself: the column need hold the others only, and leaves the rest of its room.
  const held = lines.reduce((most, [cell = '']) => (width(cell) <= name ? Math.max(most, width(cell)) : most), 0);
  return narrowest([held, ...widths.slice(1)]);
}

/** One character after another is taken from the widest that has more than its least, until they fit. */
function narrowed(widths: readonly number[], least: readonly number[], room: number): readonly number[] {
  const out = [...widths];
  for (let excess = out.reduce((sum, each) => sum + each, 0) - room; excess > 0; excess--) {
    let widest: number | undefined;
    out.forEach((each, at) => {
      if (each > (least[at] ?? 0) && (widest === undefined || each > (out[widest] ?? 0))) widest = at;
    });
    if (widest === undefined) break;
    out[widest] = (out[widest] ?? 1) - 1;
  }
  return out;
}

function width(cell: Cell): number {
  return textOf(cell).length;
}

function textOf(cell: Cell): string {
  return printable(typeof cell === 'string' ? cell : cell.text).trimEnd();
}

/**
 * Names and values, one a line: `leader   m1`. A value that is wider than the terminal goes on below itself, broken
 * between words; no word is broken and nothing is cut.
 */
export function formatFacts(
  facts: readonly (readonly [string, Cell])[],
  terminal: Pick<Terminal, 'columns' | 'paint'>,
): string {
  const names = Math.max(0, ...facts.map(([name]) => name.length)) + gap.length;
  const room = terminal.columns === undefined ? undefined : Math.max(1, terminal.columns - names);
  return facts
    .map(([name, value]) => {
      const lines = wrapIndented(textOf(value), room, '').split('\n');
      const shown = lines.map((line) => (typeof value === 'string' ? line : terminal.paint(value.style, line)));
      return `${terminal.paint('dim', name.padEnd(names - gap.length))}${gap}${shown.join(`\n${' '.repeat(names)}`)}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** Text broken at blanks to `room` characters a line, every line but the first indented by `indent`. */
export function wrapIndented(text: string, room: number | undefined, indent: string): string {
  if (room === undefined) return text;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const limit = room - (lines.length > 0 ? indent.length : 0);
    if (line !== '' && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${indent}`);
}
