/** Options that may be given before a command's name or after it. */
import type { Command } from 'commander';

/** The nearest value of an option: the command's own, or one given before the command's name; undefined: not given. */
export function givenOption(command: Command, name: string): unknown {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    if (at.getOptionValueSource(name) !== undefined && at.getOptionValueSource(name) !== 'default') {
      return at.getOptionValue(name);
    }
  }
  return undefined;
}
