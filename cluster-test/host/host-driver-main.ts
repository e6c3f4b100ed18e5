/**
 * A reconciler as a process of its own, to be started in a host's namespace: takes commands as JSON lines on standard
 * input, answers on standard output, and speaks of every new status there. Ends with its input, leaving the data plane.
 */
import { createInterface } from 'node:readline';
import type { DriverAnswer, DriverCommand } from '#cluster-test/host/host-driver.js';
import { HostReconciler } from '#host/reconciler.js';
import { systemClock } from '#replica/ports/system-clock.js';

function say(answer: DriverAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const reconciler = new HostReconciler({
  clock: systemClock,
  log: {
    info: (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
    warn: (fields, message) => process.stderr.write(`warning: ${message} ${JSON.stringify(fields)}\n`),
  },
});
reconciler.onStatus((status) => say({ kind: 'status', status }));
reconciler.start();

async function answer(command: DriverCommand): Promise<unknown> {
  switch (command.kind) {
    case 'update':
      reconciler.update(command.input);
      return reconciler.settled();
    case 'metrics':
      return reconciler.metrics();
    case 'plan':
      return reconciler.plan(command.input);
    case 'ping':
      return reconciler.ping(command.target);
    case 'cleanup':
      return reconciler.cleanup(command.clusterIds, command.settings);
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command }: { id: number; command: DriverCommand } = JSON.parse(line);
  try {
    say({ kind: 'answer', id, value: await answer(command) });
  } catch (error) {
    say({ kind: 'error', id, error: error instanceof Error ? error.message : String(error) });
  }
}
await reconciler.stop();
process.exit(0);
