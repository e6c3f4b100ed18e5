/**
 * The log of a process: pino, on stderr. Readable on a terminal, one JSON object a line otherwise. Rooms take the
 * narrow interface that they need; a `Logger` fits all of them.
 */
import { isatty } from 'node:tty';
import { destination, type Logger, type LoggerOptions, pino } from 'pino';
import { readableLog } from '#cli/process/readable-log.js';
import { colours } from '#cli/terminal.js';
import type { LogConfig } from '#config/files/log-config.js';
import { escapedJson } from '#text/printable-text.js';

export type { Logger };

const stderr = 2;
/** Times and levels as people and log collectors read them. */
const jsonForm: LoggerOptions = {
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
};

/** `about` is in every line: the process that logs. */
export function makeLogger(config: LogConfig, about: Readonly<Record<string, string>>): Logger {
  const options = { level: config.level, base: about };
  const readable = config.format === 'readable' || (config.format === 'auto' && isatty(stderr));
  // Synchronous, so that the last words of a process that ends are there.
  if (!readable) {
    const file = destination({ dest: stderr, sync: true });
    return pino({ ...options, ...jsonForm }, { write: (line) => void file.write(escapedJson(line)) });
  }
  const [hidden, coloured] = [Object.keys(about), colours(process.env, isatty(stderr))];
  const file = destination({ dest: stderr, sync: true });
  return pino(options, { write: (line) => void file.write(readableLog(line, hidden, coloured)) });
}
