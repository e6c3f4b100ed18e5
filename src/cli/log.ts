/**
 * The log of a process: pino, on stderr. Readable on a terminal, one JSON object a line otherwise. Rooms take the
 * narrow interface that they need; a `Logger` fits all of them.
 */
import { isatty } from 'node:tty';
import { destination, type Logger, type LoggerOptions, pino } from 'pino';
import { colours } from '#cli/terminal.js';
import type { LogConfig } from '#config/log-config.js';
import { escapedJson } from '#text/printable-text.js';

export type { Logger };

const stderr = 2;
/** Times and levels as people and log collectors read them. */
const jsonForm: LoggerOptions = {
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
};

/** `about` is in every line: who logs. */
export async function makeLogger(config: LogConfig, about: Readonly<Record<string, string>>): Promise<Logger> {
  const options = { level: config.level, base: about };
  const readable = config.format === 'readable' || (config.format === 'auto' && isatty(stderr));
  // Synchronous, so that the last words of a process that ends are there.
  if (!readable) {
    const file = destination({ dest: stderr, sync: true });
    return pino({ ...options, ...jsonForm }, { write: (line) => void file.write(escapedJson(line)) });
  }
  const { PinoPretty } = await import('pino-pretty');
  const stream = PinoPretty({
    colorize: colours(process.env, isatty(stderr)),
    destination: stderr,
    sync: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: Object.keys(about).join(','),
    errorLikeObjectKeys: ['err', 'error'],
    singleLine: true,
  });
  return pino(options, { write: (line) => void stream.write(withoutEscapes(line)) });
}

/** A line of JSON whose texts hold no control characters but line feeds and tabs: PinoPretty prints them as they are. */
function withoutEscapes(line: string): string {
  return escapedJson(line).replace(/\\(?:u[0-9a-f]{4}|[\s\S])/g, (sequence) =>
    /^\\(?:[bfr]|u00[0189][0-9a-f]|u007f|u061c|u20[0-6][0-9a-f]|ufe?ff)/.test(sequence) ? ' ' : sequence,
  );
}
