/** How a process gets its configuration: a file, flags over it, and every problem as a failure of the command. */
import type { Command } from 'commander';
import { exitCodes, Failure } from '#cli/failure.js';
import { readConfigFile } from '#cli/local/config-file.js';
import type { Logger } from '#cli/process/log.js';
import { givenFlags } from '#cli/setting-flags.js';
import { plural } from '#cli/words.js';
import type { Loaded } from '#config/files/master-config.js';
import { ConfigError, type ConfigProblem, formatProblem } from '#config/schema/config-problem.js';
import type { ConfigSource } from '#config/schema/document.js';
import type { Setting } from '#config/schema/setting.js';
import { badNode, runningVersions } from '#runtime/node-releases.js';

/** @throws Failure as wrong use, with all that is wrong */
export function loadConfig<Config>(
  command: Command,
  settings: readonly Setting[],
  load: (source: ConfigSource) => Loaded<Config>,
): Loaded<Config> {
  const file: unknown = command.getOptionValue('config');
  const flags = givenFlags(command, settings);
  const source = typeof file === 'string' ? { file: readConfigFile(file, exitCodes.usage), flags } : { flags };
  return orFailure('the configuration', exitCodes.usage, () => load(source));
}

/** Runs `load`; what is wrong with a configuration comes out as a failure that lists it. */
export function orFailure<T>(what: string, exitCode: Failure['exitCode'], load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const count = plural(error.problems.length, 'problem');
    throw new Failure(exitCode, `${what} can’t be used: ${count}`, error.problems.map(formatProblem));
  }
}

export function logWarnings(log: Logger, warnings: readonly ConfigProblem[]): void {
  for (const warning of warnings) log.warn({ key: warning.key }, formatProblem(warning));
}

/** Says it where the Node.js that runs this process must not serve other machines. */
export function logBadNode(log: Logger): void {
  const bad = badNode();
  if (bad !== undefined) log.error(runningVersions(), `${bad}. Until then this process listens on loopback only`);
}
