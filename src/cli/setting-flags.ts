/** The flags of masters and agents, from the tables of settings: each key of a configuration file is also a flag. */
import { type Command, Option } from 'commander';
import type { FlagValue, Setting } from '#config/schema/setting.js';

/** Adds a flag for each setting. */
export function addSettingFlags(command: Command, settings: readonly Setting[]): void {
  for (const { flag, takes, about, default: byDefault, repeated } of settings) {
    const suffix = [repeated ? 'repeatable' : '', byDefault === undefined ? '' : `default: ${byDefault}`].filter(
      Boolean,
    );
    const words = suffix.length === 0 ? about : `${about} (${suffix.join('; ')})`;
    const option = new Option(takes === undefined ? flag : `${flag} <${takes}>`, words);
    if (repeated) {
      option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
    }
    command.addOption(option.helpGroup('Settings, each also a key of the file:'));
  }
}

/** The settings' flags that were given, in no particular order. */
export function givenFlags(command: Command, settings: readonly Setting[]): readonly FlagValue[] {
  return settings.flatMap(({ flag }): readonly FlagValue[] => {
    const name = new Option(flag).attributeName();
    const value: unknown = command.getOptionValue(name);
    if (typeof value === 'string' || typeof value === 'boolean') return [{ flag, value }];
    if (!Array.isArray(value)) return [];
    return [{ flag, value: value.map(String) }];
  });
}
