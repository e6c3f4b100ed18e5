/**
 * Tables of text. A column is as wide as its widest cell; where the whole is wider than the terminal, the columns
 * that may be cut are, the widest first, each cut cell ending in `…`, or going on below where its column wraps. A pipe
 * gets every cell whole.
 */
import { printable, type Style, type Terminal } from '#cli/terminal.js';

export type Column = {
  readonly title: string;
  readonly align?: 'right';
  /** May be cut to this many characters when the terminal is narrow; absent: never cut. */
  readonly least?: number;
  /** What is cut off at a blank goes on in the next line. */
  readonly wraps?: true;
};

export type Cell = string | { readonly text: string; readonly style: Style };

const gap = '  ';

/** The lines of a table with its titles; the empty text when there are no rows. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminal: Pick<Terminal, 'columns' | 'paint'>,
): string {
  const titles = columns.map(({ title }): Cell => ({ text: title, style: 'dim' }));
  const lines = [titles, ...rows];
  const widths = fitted(
    columns,
    columns.map((_, at) => Math.max(...lines.map((row) => width(row[at])))),
    terminal.columns,
  );
  return lines
    .flatMap((row) => wrapped(columns, widths, row))
    .map((row) => `${formatRow(columns, widths, row, terminal.paint)}\n`)
    .join('');
}

/** The lines of one row. */
function wrapped(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly Cell[],
): readonly (readonly Cell[])[] {
  const parts = columns.map(({ wraps }, at): readonly Cell[] => {
    const cell = row[at] ?? '';
    if (wraps === undefined) return [cell];
    const texts = wrap(textOf(cell), widths[at], '').split('\n');
    return typeof cell === 'string' ? texts : texts.map((text) => ({ text, style: cell.style }));
  });
  const height = Math.max(...parts.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => parts.map((part) => part[line] ?? ''));
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
    const room = widths[at] ?? 0;
    const cell = row[at] ?? '';
    const text = cut(textOf(cell), room);
    const fill = ' '.repeat(room - text.length);
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

/** The widths, cut so that a row fits; as near as the columns allow. */
function fitted(columns: readonly Column[], widths: readonly number[], room: number | undefined): readonly number[] {
  const out = [...widths];
  let excess =
    out.reduce((sum, each) => sum + each, 0) + gap.length * (out.length - 1) - (room ?? Number.POSITIVE_INFINITY);
  for (; excess > 0; excess--) {
    let widest: number | undefined;
    columns.forEach(({ least }, at) => {
      const spare = (out[at] ?? 0) - (least ?? Number.POSITIVE_INFINITY);
      if (spare > 0 && (widest === undefined || (out[at] ?? 0) > (out[widest] ?? 0))) widest = at;
    });
    if (widest === undefined) break;
    out[widest] = (out[widest] ?? 1) - 1;
  }
  return out;
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`;
}

function width(cell: Cell | undefined): number {
  return cell === undefined ? 0 : textOf(cell).length;
}

function textOf(cell: Cell): string {
  return printable(typeof cell === 'string' ? cell : cell.text);
}

/** Names and values, one a line: `leader   m1`. Values are never cut. */
export function formatFacts(facts: readonly (readonly [string, Cell])[], terminal: Pick<Terminal, 'paint'>): string {
  const room = Math.max(0, ...facts.map(([name]) => name.length));
  return facts
    .map(([name, value]) => {
      const text = textOf(value);
      const shown = typeof value === 'string' ? text : terminal.paint(value.style, text);
      return `${terminal.paint('dim', name.padEnd(room))}${gap}${shown}`.trimEnd();
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** Text broken at blanks to `room` characters a line, every line but the first indented by `indent`. */
export function wrap(text: string, room: number | undefined, indent: string): string {
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
