/** What `sublet members` and `sublet status` say of masters in the same words. */

import { type Cell, wrapIndented } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { ago } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { printable } from '#text/printable-text.js';

/** What to do when there is none for long. */
export const noLeader = {
  text: 'Most of those that vote must be up and reach one another: start those that are down. If they are lost for good:',
  way: 'sublet snapshot recover --help',
};

/** A paragraph under a table, and the command that it leads to, if there is one. `notice`: nothing is wrong. */
export function remark(text: string, way: string, terminal: Terminal, notice = false): string {
  const said = wrapIndented(printable(text), terminal.columns && terminal.columns - 2, '  ');
  const lines = wrapIndented(printable(way), terminal.columns && terminal.columns - 4, '    ').split('\n');
  const next = way === '' ? '' : `  ${lines.map((line) => terminal.paint('cyan', line)).join('\n')}\n`;
  const mark = notice ? terminal.paint('dim', '-') : terminal.paint('yellow', '!');
  return `${mark} ${said}\n${next}`;
}

/** When the leader heard of it last; the account of another master calls no member dead. */
export function heard({ self, alive, lastContact }: sublet.v1.Member.$Properties, terminal: Terminal): Cell {
  if (self) return 'here';
  const past = ago(lastContact, terminal.now());
  if (alive === false) return { text: past === '' ? 'never' : `dead for ${past}`, style: 'red' };
  return past || '-';
}
