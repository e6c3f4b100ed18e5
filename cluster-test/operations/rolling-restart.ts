/** Stops every master in turn with SIGTERM and starts it again, as an upgrade does; each only when nothing is at risk. */
import assert from 'node:assert/strict';
import { operate } from '#cluster-test/operations/operator.js';
import { holds, until } from '#cluster-test/process/condition.js';
import type { MasterProcess, Masters } from '#cluster-test/process/masters.js';

const boundMs = 30_000;

type Account = {
  readonly members: readonly { readonly name: string; readonly alive?: boolean; readonly stopRisk?: string }[];
};

/** The leader is among those that are stopped, at least once: returns how often. */
export async function restartAll(masters: Masters): Promise<number> {
  let led = 0;
  for (const master of masters.masters) {
    await mayStop(masters, master);
    if (master === (await masters.leader())) led += 1;
    const { code } = await master.child.stop();
    assert.equal(code, 0, master.child.output);
    masters.restart(master);
    await masters.ready([master]);
  }
  return led;
}

async function mayStop(masters: Masters, { name }: MasterProcess): Promise<void> {
  await until(`${name} may be stopped`, boundMs, async () => {
    const { members }: Account = JSON.parse(await operate(masters, 'members', '-o', 'json'));
    const found = members.find((member) => member.name === name);
    return holds(found?.alive === true && (found.stopRisk ?? '') === '');
  });
}
