/** Command lines with a remark each. */
import type { Terminal } from '#cli/terminal.js';

/** A command line, and what it does. */
export type RemarkedLine = readonly [line: string, remark: string];

/** The indent of a line, and what stands before its remark. */
const around = '  '.length + '  # '.length;

/** The remarks stand in one column behind the lines; a line that leaves no room for it on this terminal has it above. */
export function remarkedLines(lines: readonly RemarkedLine[], terminal: Pick<Terminal, 'columns' | 'paint'>): string {
  const { columns = Number.POSITIVE_INFINITY } = terminal;
  const fits = ([line, remark]: RemarkedLine): boolean => line.length + remark.length + around <= columns;
  const short = lines.filter(fits);
  const room = Math.max(0, ...short.map(([line]) => line.length));
  const inColumn = short.every(([, remark]) => room + remark.length + around <= columns);
  return lines
    .map(([line, text]) => {
      const remark = terminal.paint('dim', `# ${text}`);
      if (!fits([line, text])) return `  ${remark}\n  ${line}\n`;
      return `  ${inColumn ? line.padEnd(room) : line}  ${remark}\n`;
    })
    .join('');
}
