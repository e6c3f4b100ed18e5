/**
 * `npm run simulate`: prints a line per seed, and for one that fails how to run it again. The modules of the product are
 * loaded only after a bug is planted.
 */
import { parseArgs } from 'node:util';
import { assertPlanted, plantBug } from '#cluster-test/simulation/plant-bug.js';

const usage = `npm run simulate -- [--seeds N | --seed S] [--first S] [--events M] [--jobs J] [--trace | --json]
                       [--without KIND,…] [--only KIND,…] [--mutation NAME [--aimed]]
docs/simulation.md says what each is for.`;

const options = {
  help: { type: 'boolean', short: 'h', default: false },
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

/** What is asked for; undefined: said already what can be. */
function asked(): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] | undefined {
  try {
    const { values } = parseArgs({ options });
    if (!values.help) return values;
    console.log(usage);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exitCode = 2;
  }
  return undefined;
}

const values = asked();
if (values !== undefined) {
  const bug = values.mutation === undefined ? undefined : plantBug(values.mutation);
  const { runCommand } = await import('#cluster-test/simulation/run-command.js');
  if (bug !== undefined) assertPlanted(bug);
  process.exitCode = await runCommand(values, bug);
}
