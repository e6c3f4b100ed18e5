/**
 * `npm run simulate -- [--seeds N | --seed S] [--events M] [--mutation NAME] [--aimed] [--jobs J] [--without KIND,…]
 * [--only KIND,…] [--trace]`. Prints a line per seed, and for one that fails how to run it again. The modules of the product are
 * loaded only after a bug is planted.
 */
import { parseArgs } from 'node:util';
import { assertPlanted, plantBug } from '#cluster-test/simulation/plant-bug.js';

const { values } = parseArgs({
  options: {
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
  },
});

const bug = values.mutation === undefined ? undefined : plantBug(values.mutation);
const { runCommand } = await import('#cluster-test/simulation/run-command.js');
if (bug !== undefined) assertPlanted(bug);
process.exitCode = await runCommand(values, bug);
