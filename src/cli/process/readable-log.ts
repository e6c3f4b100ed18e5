/** A line of the log as people read it: time of day, level, message, the fields as JSON, an error with its stack below. */
import { styleText } from 'node:util';
import { jsonText, printableLines } from '#text/printable-text.js';

type Level = { readonly name: string; readonly style: 'gray' | 'blue' | 'green' | 'yellow' | 'red' };

/** By pino's number of it. */
const levels: ReadonlyMap<unknown, Level> = new Map([
  [10, { name: 'TRACE', style: 'gray' }],
  [20, { name: 'DEBUG', style: 'blue' }],
  [30, { name: 'INFO', style: 'green' }],
  [40, { name: 'WARN', style: 'yellow' }],
  [50, { name: 'ERROR', style: 'red' }],
  [60, { name: 'FATAL', style: 'red' }],
]);
const indent = '    ';
const timeOfDay = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/**
 * Lines with a line feed at the end, free of control characters but line feeds and, with `coloured`, our own colours.
 * @param line one object of pino's, as JSON
 * @param hidden fields that are left out
 */
export function readableLog(line: string, hidden: readonly string[], coloured: boolean): string {
  const { level, time, msg, err, ...others } = fieldsOf(line);
  const { name, style } = levels.get(level) ?? { name: String(level), style: 'gray' };
  const fields = Object.fromEntries(Object.entries(others).filter(([key]) => !hidden.includes(key)));
  const stack = stackOf(err);
  if (err !== undefined && stack === undefined) fields.err = err;
  const words = [
    `[${timeOfDay.format(Number(time))}]`,
    `${coloured ? styleText(style, name, { validateStream: false }) : name}:`,
    ...(typeof msg === 'string' ? [printableLines(msg)] : []),
    ...(Object.keys(fields).length === 0 ? [] : [jsonText(fields)]),
  ];
  return `${words.join(' ')}\n${stack ?? ''}`;
}

function fieldsOf(line: string): Record<string, unknown> {
  const parsed: unknown = JSON.parse(line);
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : { msg: line };
}

/** An error as pino writes it, indented: its stack, and what else it carries. Undefined for what is no error. */
function stackOf(err: unknown): string | undefined {
  if (typeof err !== 'object' || err === null || !('stack' in err) || typeof err.stack !== 'string') return undefined;
  const { stack, ...others } = err;
  const more = Object.entries(others).filter(([key]) => key !== 'type' && key !== 'message');
  const lines = [
    ...printableLines(stack).split('\n'),
    ...(more.length === 0 ? [] : [jsonText(Object.fromEntries(more))]),
  ];
  return lines.map((each) => `${indent}${each}\n`).join('');
}
