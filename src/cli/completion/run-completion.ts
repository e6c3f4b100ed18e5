/**
 * `sublet __complete SHELL …`, which the shells' scripts call: a candidate a line, as each shell takes it, and `:files` or
 * `:folders` at the end where paths fit, too. It says nothing else, whatever is wrong.
 */
import { type CommandTree, complete } from '#cli/completion/candidates.js';
import { afterBreak, splitLine } from '#cli/completion/command-line.js';
import { askLive } from '#cli/completion/live-values.js';
import { keepTabs, type Terminal } from '#cli/terminal.js';
import { printable } from '#text/printable-text.js';

/** What a host name's lookup may keep of the process after the answer, in ms. */
const lingerMs = 20;

/** `bash LINE BREAKS`, with the line up to the cursor and COMP_WORDBREAKS; or `zsh WORD…`, `fish WORD…`. */
export async function runCompletion(
  [shell = '', ...rest]: readonly string[],
  tree: CommandTree,
  terminal: Terminal,
): Promise<void> {
  const [line = '', breaks = ''] = rest;
  const words = shell === 'bash' ? splitLine(line).slice(1) : rest;
  const { candidates, paths } = await complete(words, tree, askLive);
  const lines = candidates.map(({ value, about }) => {
    if (shell === 'bash') return afterBreak(value, words.at(-1) ?? '', breaks);
    if (shell === 'zsh') return `${value.replaceAll(':', '\\:')}:${printable(about)}`;
    return `${value}\t${printable(about)}`;
  });
  if (paths !== 'none') lines.push(`:${paths}`);
  terminal.write(keepTabs(lines.map((each) => `${each}\n`).join('')));
  setTimeout(() => process.exit(), lingerMs).unref();
}
