import assert from 'node:assert/strict';
import { OtherIncarnations } from '#master/leader/other-incarnations.js';
import { silentLog } from '#master/master-log.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const configured = [1, 2, 3].map((n) => ({ name: `m${n}`, peer: `10.0.0.${n}:7071` }));

/** What listens at an address: an incarnation of cluster "new", another cluster, or nothing. */
type There = { readonly incarnation: string; readonly clusterId?: string } | undefined;

class Site {
  readonly time = new VirtualTime();
  readonly logged: string[] = [];
  readonly there = new Map<string, There>();
  members = [{ name: 'm1', peer: '10.0.0.1:7071' }];
  /** What the leader was to look at. */
  readonly reports: string[] = [];
  readonly incarnations: OtherIncarnations;

  constructor() {
    const status = () =>
      ({
        self: { name: 'm1' },
        membership: { clusterId: 'new', incarnation: 'f1', members: this.members },
      }) as unknown as ReplicaStatus; // What is looked at of it.
    const error = (_details: object, message: string): void => void this.logged.push(message);
    this.incarnations = new OtherIncarnations({
      log: { status },
      clusterId: 'new',
      configured,
      clock: this.time,
      logger: { ...silentLog, error },
      hello: (peer) => this.#hello(peer),
      report: (peer) => this.reports.push(peer),
    });
  }

  async #hello(peer: string): Promise<MemberHello> {
    const there = this.there.get(peer);
    if (there === undefined) throw new Error('nobody listens');
    const { incarnation, clusterId = 'new' } = there;
    const name = configured.find((each) => each.peer === peer)?.name ?? '';
    const membership = { clusterId, incarnation, members: [] };
    return { clusterId, name, bootstrapped: true, membership } as unknown as MemberHello; // As above.
  }
}

describe('a second incarnation at a configured address', () => {
  it('keeps a master from granting anything until it is gone, and is named', async () => {
    const site = new Site();
    site.there.set('10.0.0.3:7071', { incarnation: 'f3' });
    site.incarnations.start();
    assert.match(site.incarnations.refusal?.message ?? '', /is asking the other masters/);
    await site.time.runFor(100);
    assert.equal(site.incarnations.refusal?.reason, 'other-incarnation');
    const { problem } = site.incarnations;
    assert.match(problem ?? '', /m1 is of incarnation f1, and m3 at 10\.0\.0\.3:7071, .* is of incarnation f3/);
    assert.match(site.incarnations.warnings()[0]?.message ?? '', /nothing is granted here, and it is not ready/);
    await site.time.runFor(30_000);
    assert.equal(site.logged.length, 1);
    site.there.delete('10.0.0.3:7071');
    await site.time.runFor(10_000);
    assert.ok(site.incarnations.problem, 'it may be cut off for a moment');
    await site.time.runFor(10_000);
    assert.deepEqual([site.incarnations.problem, site.incarnations.refusal], [undefined, undefined]);
  });

  it('is found when it comes later, and is over when it becomes a member', async () => {
    const site = new Site();
    site.incarnations.start();
    await site.time.runFor(100);
    assert.equal(site.incarnations.refusal, undefined);
    site.there.set('10.0.0.2:7071', { incarnation: 'f2' });
    await site.time.runFor(3_100);
    assert.match(site.incarnations.problem ?? '', /m2 at 10\.0\.0\.2:7071/);
    site.members = [...site.members, { name: 'm2', peer: '10.0.0.2:7071' }];
    await site.time.runFor(3_100);
    assert.equal(site.incarnations.problem, undefined);
  });

  it('is reported to the leader, which looks at it though its own configuration has no such address', async () => {
    const site = new Site();
    site.there.set('10.0.0.2:7071', { incarnation: 'f2' });
    site.there.set('10.0.0.9:7071', { incarnation: 'f9' });
    site.incarnations.start();
    await site.time.runFor(3_100);
    assert.deepEqual(site.reports, ['10.0.0.2:7071', '10.0.0.2:7071']);
    site.there.delete('10.0.0.2:7071');
    await site.time.runFor(20_000);
    assert.equal(site.incarnations.problem, undefined);

    site.incarnations.reported('10.0.0.9:7071');
    await site.time.runFor(100);
    assert.match(
      site.incarnations.problem ?? '',
      / at 10\.0\.0\.9:7071, which is in the configuration of another master, /,
    );
    assert.ok(!site.reports.includes('10.0.0.9:7071'), 'the leader does not report it again');
    await site.time.runFor(20_000);
    assert.ok(site.incarnations.problem);
    await site.time.runFor(20_000);
    assert.equal(site.incarnations.problem, undefined, 'it was not reported for 30 s');
  });

  it('is looked for at a bounded number of reported addresses', async () => {
    const site = new Site();
    site.incarnations.start();
    const peers = Array.from({ length: 17 }, (_, n) => `10.1.0.${n}:7071`);
    for (const peer of peers) {
      site.there.set(peer, { incarnation: 'f9' });
      site.incarnations.reported(peer);
    }
    for (const peer of peers.slice(0, 16)) site.there.delete(peer);
    await site.time.runFor(20_000);
    assert.equal(site.incarnations.problem, undefined);

    const other = new Site();
    const long = `${'h'.repeat(257)}:7071`;
    other.there.set(long, { incarnation: 'f9' });
    other.incarnations.start();
    other.incarnations.reported(long);
    await other.time.runFor(20_000);
    assert.equal(other.incarnations.problem, undefined, 'no address is that long');
  });

  it('is none of the same incarnation, of another cluster id, or one that is not known', async () => {
    const site = new Site();
    site.there.set('10.0.0.2:7071', { incarnation: 'f1' });
    site.there.set('10.0.0.3:7071', { incarnation: 'f3', clusterId: 'other' });
    site.incarnations.start();
    await site.time.runFor(3_100);
    site.there.set('10.0.0.2:7071', { incarnation: '' });
    await site.time.runFor(3_100);
    assert.equal(site.incarnations.problem, undefined);
    site.incarnations.stop();
  });

  it('is waited for at the start, but not for long', async () => {
    const site = new Site();
    const incarnations = new OtherIncarnations({
      log: { status: () => ({ self: { name: 'm1' }, membership: { members: [] } }) as unknown as ReplicaStatus },
      clusterId: 'new',
      configured,
      clock: site.time,
      logger: silentLog,
      report: () => undefined,
      hello: () => new Promise(() => undefined),
    });
    incarnations.start();
    await site.time.runFor(2_900);
    assert.equal(incarnations.refusal?.reason, 'unavailable');
    await site.time.runFor(200);
    assert.equal(incarnations.refusal, undefined);
  });
});
