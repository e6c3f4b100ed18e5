/**
 * `npm run simulate`: prints a line per seed, and for one that fails how to run it again. The modules of the product are
 * loaded only after a bug is planted.
 */
import { parseArgs } from 'node:util';
import { withUsage } from '#cluster-test/process/usage.js';
import { assertPlanted, plantBug } from '#cluster-test/simulation/planted/plant-bug.js';

const usage = `npm run simulate -- [--seeds N | --seed S] [--first S] [--events M] [--jobs J] [--trace | --json]
                       [--without KIND,…] [--only KIND,…] [--mutation NAME [--aimed]]
docs/simulation.md says what each is for.`;

const options = {
  seeds: { type: 'string' },
  seed: { type: 'string' },
  first: { type: 'string' },
  events: { type: 'string', default: '20000' },
  mutation: { type: 'string' },
  aimed: { type: 'boolean', default: false },
  jobs: { type: 'string' },
  without: { type: 'string' },
  only: { type: 'string' },
  trace: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

const args = process.argv.slice(2);
await withUsage(usage, args, async () => {
  const { values } = parseArgs({ args, options });
  const bug = values.mutation === undefined ? undefined : plantBug(values.mutation);
  const { runCommand } = await import('#cluster-test/simulation/run-command.js');
  if (bug !== undefined) assertPlanted(bug);
  process.exitCode = await runCommand(values, bug);
});
