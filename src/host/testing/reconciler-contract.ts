/** What every `Reconciler` does: the one of a Linux host, the one that only plans, and the fake of the agent's specs. */
import assert from 'node:assert/strict';
import type { HostStatus } from '#host/host-status.js';
import type { HostInput } from '#host/input.js';
import type { Reconciler } from '#host/reconciler-interface.js';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';

export type ContractReconciler = {
  /** Not started yet. */
  readonly reconciler: Reconciler;
  /** An input whose lease has the overlays with these names. */
  readonly inputOf: (...overlays: readonly string[]) => HostInput;
};

export function reconcilerContract(make: () => Promise<Subject<ContractReconciler>>): readonly ContractCase[] {
  const reconcilerCase = (name: string, check: (subject: ContractReconciler) => Promise<void>): ContractCase =>
    contractCase(make, name, async (subject) => {
      try {
        await check(subject);
      } finally {
        await subject.reconciler.stop();
      }
    });
  return [
    reconcilerCase('reports nothing before its first input', async ({ reconciler }) => {
      assert.deepEqual(reconciler.status(), { overlays: [], problems: [], converged: false });
      assert.deepEqual(await reconciler.settled(), reconciler.status());
      assert.equal(reconciler.metrics().passes, 0);
      assert.deepEqual(reconciler.usage(), []);
    }),
    reconcilerCase('has a status for each overlay of its lease, once that was tried', async (subject) => {
      const { reconciler, inputOf } = subject;
      reconciler.update(inputOf('one', 'two'));
      assert.deepEqual(namesOf(await reconciler.settled()), ['one', 'two']);
      assert.ok(reconciler.metrics().passes > 0);
      reconciler.update(inputOf('two'));
      assert.deepEqual(namesOf(await reconciler.settled()), ['two']);
    }),
    reconcilerCase('ends with the latest of inputs that come at once', async ({ reconciler, inputOf }) => {
      for (const overlay of ['one', 'two', 'three']) reconciler.update(inputOf(overlay));
      assert.deepEqual(namesOf(await reconciler.settled()), ['three']);
      assert.deepEqual(namesOf(reconciler.status()), ['three']);
    }),
    reconcilerCase('calls listeners when its status has changed, and only then', async ({ reconciler, inputOf }) => {
      const seen: HostStatus[] = [];
      const others: HostStatus[] = [];
      reconciler.onStatus((status) => seen.push(status));
      reconciler.onStatus((status) => others.push(status));
      reconciler.update(inputOf('one'));
      assert.deepEqual(await reconciler.settled(), seen.at(-1));
      const count = seen.length;
      reconciler.update(inputOf('one'));
      await reconciler.settled();
      assert.equal(seen.length, count, 'the status is the same');
      reconciler.update(inputOf('one', 'two'));
      await reconciler.settled();
      assert.deepEqual(namesOf(seen.at(-1)), ['one', 'two']);
      assert.deepEqual(others, seen);
    }),
    reconcilerCase('keeps its status when it is stopped, also twice', async ({ reconciler, inputOf }) => {
      reconciler.update(inputOf('one'));
      const status = await reconciler.settled();
      await reconciler.stop();
      await reconciler.stop();
      assert.deepEqual(reconciler.status(), status);
    }),
  ];
}

function namesOf(status: HostStatus | undefined): readonly string[] | undefined {
  return status?.overlays.map(({ name }) => name);
}
