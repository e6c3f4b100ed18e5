/**
 * What a data folder of `sublet dev` was made with. The masters keep each other's addresses in their replicated
 * membership, so a second run has to have as many of them at the same ports.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type DevOptions, devDefaults } from '#cli/dev/dev-plan.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { isSystemError } from '#errors/expected-error.js';
import { FolderError, makeFolder } from '#files/make-folder.js';

const record = z.strictObject({ masters: z.int().positive(), agents: z.int().min(0), basePort: z.int().positive() });

export type DevWishes = { readonly dataDir: string; readonly insecure?: boolean } & {
  readonly [Key in 'masters' | 'agents' | 'basePort']?: number;
};

/**
 * The options of this run: what is asked for, else what the folder was made with, else the defaults.
 * @throws Failure when the folder holds a cluster of another shape
 */
export function devOptions({ dataDir, ...wishes }: DevWishes): DevOptions {
  const file = join(dataDir, 'dev.json');
  const found = existsSync(file) ? read(file) : undefined;
  for (const key of ['masters', 'basePort'] as const) {
    const wished = wishes[key];
    if (found === undefined || wished === undefined || wished === found[key]) continue;
    const flag = key === 'masters' ? '--masters' : '--base-port';
    throw new Failure(
      exitCodes.refused,
      `${flag} ${wished}: the cluster in ${dataDir} was made with ${flag} ${found[key]}`,
      [`Leave ${flag} out, or start another cluster with --data-dir, or remove ${dataDir}.`],
    );
  }
  return { ...devDefaults, ...found, ...wishes, dataDir };
}

/** Makes the folder, if need be, and notes what it is made with. @throws Failure when it can't be made */
export function keepDevOptions({ dataDir, masters, agents, basePort }: DevOptions): void {
  try {
    makeFolder(join(dataDir, 'log'));
    writeFileSync(
      join(dataDir, 'dev.json'),
      `${JSON.stringify(record.parse({ masters, agents, basePort }), undefined, 2)}\n`,
    );
  } catch (error) {
    if (!(error instanceof FolderError || isSystemError(error))) throw error;
    throw new Failure(exitCodes.refused, `${dataDir} can’t be made or written: ${error.message}`, [
      'Give another folder with --data-dir DIR.',
    ]);
  }
}

function read(file: string): z.infer<typeof record> {
  const parsed = record.safeParse(parse(readFileSync(file, 'utf8')));
  if (parsed.success) return parsed.data;
  throw new Failure(exitCodes.refused, `${file} is not what \`sublet dev\` writes there`, [
    'Choose another folder with --data-dir, or remove that one.',
  ]);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not JSON: as little what was written there as any other shape.
  }
}
