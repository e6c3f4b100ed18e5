/** What a process logs and how: the same keys for masters and agents. */
import type { z } from 'zod';
import { oneOf } from '#config/schema/reading.js';
import { section } from '#config/schema/section.js';

export type LogConfig = {
  readonly level: 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** `auto`: readable on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'readable' | 'json';
};

export const defaultLog: LogConfig = { level: 'info', format: 'auto' };

export const log = section({
  level: oneOf('error', 'warn', 'info', 'debug', 'trace').optional(),
  format: oneOf('auto', 'readable', 'json').optional(),
});

export function logConfig(given: z.infer<typeof log> | undefined): LogConfig {
  return { level: given?.level ?? defaultLog.level, format: given?.format ?? defaultLog.format };
}
