import assert from 'node:assert/strict';
import { parseAgentId } from '#ipam/identity.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import { PlanEncoding } from '#master/services/plan-encoding.js';
import { EventRing } from '#master/watch/event-ring.js';

/** Counts what is encoded, and forgets it at once. */
class CountingEncoding extends PlanEncoding {
  agents = 0;

  override agent(agent: FullAgent, reclaimMs: number | undefined): Uint8Array {
    this.agents += 1;
    return super.agent({ ...agent }, reclaimMs);
  }
}

function ringOf(count: number): { readonly ring: EventRing; readonly encoding: CountingEncoding } {
  const plan = new PlanUnderTest();
  const encoding = new CountingEncoding();
  const ring = new EventRing({
    encoding,
    countMax: 100,
    bytesMax: 1_000_000,
    batchBytesMax: 1_000_000,
    branchAt: () => '',
  });
  for (let revision = 1; revision <= count; revision++) {
    const events = plan.run(plan.request(`agent-${revision}`)).events.map((event) => ({ ...event, revision }));
    ring.append({ revision, events, network: undefined, reclaimMs: undefined });
  }
  return { ring, encoding };
}

describe('an event ring', () => {
  it('encodes nothing before a watcher needs it', () => {
    assert.equal(ringOf(5).encoding.agents, 0);
  });

  it('encodes an event once, also for batches that begin at different places', () => {
    const { ring, encoding } = ringOf(5);
    for (const place of [0, 1, 2, 0, 4]) ring.after(place, place % 2 === 0 ? 'all' : 'peers');
    assert.equal(encoding.agents, 5);
  });

  it('row 79: keeps no more of batches for watchers at many places than of events', () => {
    const { ring } = ringOf(100);
    let most = 0;
    for (const view of ['all', 'peers', 'short'] as const) {
      for (let place = 0; place < 100; place++) {
        assert.equal(ring.after(place, view), ring.after(place, view), 'the next watcher there gets the same');
        most = Math.max(most, ring.batchBytes);
      }
    }
    assert.ok(most > 900_000 && most < 1_100_000, String(most));
  });

  it('compresses no revision that would be longer than the API allows', () => {
    const { ring } = ringOf(0);
    const removed = (count: number) =>
      Array.from({ length: count }, (_, number) => ({
        kind: 'agent-removed' as const,
        agentId: parseAgentId(`agent-${number}`),
        revision: 1,
      }));
    const bytesAfter = (place: number): number => ring.after(place, 'short')?.bytes?.length ?? 0;
    ring.append({ revision: 1, events: removed(1_000), network: undefined, reclaimMs: undefined });
    assert.ok(bytesAfter(0) < 10_000);
    ring.append({ revision: 2, events: removed(70_000), network: undefined, reclaimMs: undefined });
    assert.ok(bytesAfter(1) > 1024 * 1024);
  });

  it('refuses to go back', () => {
    const { ring } = ringOf(5);
    assert.throws(
      () => ring.append({ revision: 5, events: [], network: undefined, reclaimMs: undefined }),
      /revision 5 after 5: the log goes forward only/,
    );
  });
});
