import assert from 'node:assert/strict';
import type { Method } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import { Leadership } from '#master/leader/leadership.js';
import { silentLog } from '#master/master-log.js';
import { membershipEndpoints } from '#master/members/membership-service.js';
import { PlanClient } from '#master/services/plan-client.js';
import { MemoryCluster } from '#master/testing/memory-log.js';
import { type MemberId, memberId } from '#raft/log/entry.js';
import { changeMembers, type MembershipChange, toConfChange } from '#replica/members/membership-change.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import { ProposeError, type ReplicaStatus } from '#replica/ports/replicated-log.js';
import { uncountedClaim } from '#replica/ports/store-claim.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { byAddress } from '#tls/caller.js';

const electionTimeoutMs = 1_000;
const storeId = (name: string): string => name.padStart(32, '0');
const peerOf = (name: string): string => `${name}:7071`;

/** The service on a leader, m1, whose fellows are as the spec says: all up and caught up, and all changes succeed. */
class Leader {
  readonly time = new VirtualTime();
  readonly warnings: string[] = [];
  readonly steps: string[] = [];
  /** What one step of a change of the members meets, the next of its kind; nothing happens then. */
  trouble: { readonly at: MembershipChange['kind']; readonly error: Error } | undefined;
  membership: ReplicaStatus['membership'];
  readonly log;
  readonly plan: PlanClient;
  readonly #endpoints;

  constructor(...names: readonly string[]) {
    const machine = new IpamMachine();
    const cluster = new MemoryCluster<PlanOutcome>([machine]);
    cluster.elect(0);
    this.log = cluster.member(0);
    const members = ['m1', ...names].map((name, at) => ({
      id: memberId(at + 1),
      name,
      peer: peerOf(name),
      storeId: storeId(name),
    }));
    const confState = { ...cluster.membership.confState, voters: members.map(({ id }) => id) };
    this.membership = { ...cluster.membership, confState, members, nextMemberId: memberId(members.length + 1) };
    const { log, time: clock } = this;
    this.plan = new PlanClient({ log, machine, clock, clusterId: 'test' });
    this.#endpoints = membershipEndpoints({
      log: { status: () => this.#status() },
      control: {
        commandKinds: ['register'],
        changeMembership: async (change) => this.#change(change),
        transferLeadership: () => undefined,
        openSnapshot: () => assert.fail('nobody asks for it'),
        hello: async (peer) => hello(peer),
      },
      plan: this.plan,
      leadership: new Leadership(log, clock),
      clock,
      electionTimeoutMs,
      clusterId: 'test',
      wallClock: () => 1_700_000_000_000 + clock.now(),
      logger: { ...silentLog, warn: (_, message) => this.warnings.push(message) },
      peers: { call: () => assert.fail('nobody else leads') },
      checksIdentities: false,
    });
  }

  /** Calls the service as an operator at 10.0.0.9 would. */
  call<Request, Decoded extends Request, Response, ResponseDecoded extends Response>(
    { path, request: type }: Method<Request, Decoded, Response, ResponseDecoded>,
    request: Request,
  ): Promise<Uint8Array> {
    const endpoint = this.#endpoints.find((each) => each.path === path) ?? assert.fail(path);
    const context = { caller: byAddress('10.0.0.9:4711'), deadline: Number.POSITIVE_INFINITY, forwarded: false };
    return this.time.until(endpoint.handle(type.encode(request).finish(), context), 30_000);
  }

  add(name: string): Promise<unknown> {
    return this.call(clusterService.addMember, { name, peer: peerOf(name) });
  }

  /** Entries of the history: revision, action, principal and member. */
  get history(): readonly (readonly unknown[])[] {
    const entries = this.plan.ipam.history({ after: 0, limit: 100 });
    return entries.map(({ revision, what, who, subjects }) => [revision, what, who, subjects.join(' ')]);
  }

  #change(change: MembershipChange): ReplicaStatus['membership'] {
    const { trouble } = this;
    if (trouble?.at === change.kind) {
      this.trouble = undefined;
      throw trouble.error;
    }
    this.steps.push(change.kind);
    const votes = { add: [] as MemberId[], remove: [] as MemberId[] };
    const learns = { add: [] as MemberId[], remove: [] as MemberId[] };
    for (const { kind, member } of toConfChange(change, this.membership).operations) {
      (kind === 'add-voter' ? votes.add : votes.remove).push(member);
      (kind === 'add-learner' ? learns.add : learns.remove).push(member);
    }
    const { confState } = this.membership;
    const next = (ids: readonly MemberId[], { add, remove }: typeof votes) => [
      ...ids.filter((id) => ![...add, ...remove].includes(id)),
      ...add,
    ];
    const then = {
      ...confState,
      voters: next(confState.voters, votes),
      learners: next(confState.learners, learns),
    };
    this.membership = changeMembers(this.membership, toConfChange(change, this.membership), then);
    return this.membership;
  }

  #status(): ReplicaStatus {
    const { membership } = this;
    const status = this.log.status();
    const peers = membership.members
      .filter(({ id }) => id !== status.self.id)
      .map((member) => ({
        member,
        role: 'voter' as const,
        matchIndex: status.lastIndex,
        lastContactMs: this.time.now(),
        report: undefined,
      }));
    return { ...status, membership, peers };
  }
}

/** The member that listens there is a newcomer of that name. */
function hello(peer: string): MemberHello {
  const name = peer.slice(0, peer.indexOf(':'));
  const empty = { bootstrapped: false, membership: undefined, founders: [], seen: [], contradiction: undefined };
  const claim = uncountedClaim(storeId(name));
  return { clusterId: 'test', name, storeId: storeId(name), commandKinds: ['register'], claim, ...empty };
}

const who = 'operator@10.0.0.9';

describe('the history of the masters', () => {
  it('has what an operator asked for: one entry each, however many steps it took', async () => {
    const leader = new Leader('m2', 'm3');
    await leader.add('m4');
    await leader.call(clusterService.promoteMember, { name: 'm4' });
    await leader.call(clusterService.removeMember, { name: 'm3' });
    await leader.add('m5');
    await leader.call(clusterService.replaceMember, { name: 'm2', by: 'm5' });
    assert.deepEqual(leader.history, [
      [1, 'add-member', who, 'm4'],
      [2, 'promote-member', who, 'm4'],
      [3, 'remove-member', who, 'm3'],
      [4, 'add-member', who, 'm5'],
      [5, 'replace-member', who, 'm2 m5'],
    ]);
    assert.deepEqual(leader.steps, ['add-learner', 'promote', 'demote', 'remove', 'add-learner', 'replace', 'remove']);
    assert.deepEqual(leader.warnings, []);
  });

  it('has where a master was reached, and when the change was asked for', async () => {
    const leader = new Leader('m2', 'm3');
    await leader.time.runFor(5000);
    await leader.call(clusterService.removeMember, { name: 'm3' });
    const [entry] = leader.plan.ipam.history({ after: 0, limit: 9 });
    assert.equal(entry?.detail, 'at m3:7071');
    assert.equal(entry?.wallTime, 1_700_000_005_000);
  });

  it('has nothing of what was refused, nothing twice, and nothing of a transfer', async () => {
    const leader = new Leader('m2', 'm3');
    await leader.add('m4');
    await leader.add('m4');
    await assert.rejects(leader.call(clusterService.promoteMember, { name: 'm7' }), /there is no member "m7"/);
    const inFlight = new RefusedError('failed-precondition', 'a change is under way');
    leader.trouble = { at: 'promote', error: inFlight };
    await assert.rejects(leader.call(clusterService.promoteMember, { name: 'm4' }), /a change is under way/);
    await leader.call(clusterService.transferLeadership, { to: 'm1' });
    assert.deepEqual(leader.history, [[1, 'add-member', who, 'm4']]);
    assert.deepEqual(leader.warnings, []);
  });

  it('has one entry of a change that was asked for again, after it broke off half-way', async () => {
    const leader = new Leader('m2', 'm3');
    await leader.add('m4');
    // As if the leader had lost its office between the two steps.
    leader.trouble = { at: 'remove', error: new ProposeError('not-leader', 'm1 does not lead') };
    await assert.rejects(leader.call(clusterService.replaceMember, { name: 'm3', by: 'm4' }), /m1 does not lead/);
    assert.deepEqual(leader.history, [[1, 'add-member', who, 'm4']]);
    await leader.call(clusterService.replaceMember, { name: 'm3', by: 'm4' });
    assert.deepEqual(leader.steps, ['add-learner', 'replace', 'remove']);
    assert.deepEqual(leader.history.at(-1), [2, 'replace-member', who, 'm3 m4']);
  });

  it('lacks what a member of an earlier release could not apply: the change is made, and the log says what is missing', async () => {
    const leader = new Leader('m2', 'm3');
    const error = new ProposeError('not-known-by-all', 'a command of kind "record-membership": member m2 is older');
    leader.log.trouble = { error, lost: false };
    await leader.call(clusterService.removeMember, { name: 'm3' });
    assert.deepEqual(
      leader.membership.members.map(({ name }) => name),
      ['m1', 'm2'],
    );
    assert.deepEqual(leader.history, []);
    assert.deepEqual(leader.warnings, [
      `the history does not tell that ${who} removed m3 at m3:7071: a command of kind "record-membership": member m2 is older`,
    ]);
  });

  it('lacks what was made right before the leader lost its office, and what the plan refuses', async () => {
    const leader = new Leader('m2', 'm3');
    leader.log.trouble = { error: new ProposeError('not-leader', 'm1 does not lead'), lost: false };
    await leader.add('m4');
    leader.log.trouble = undefined;
    leader.membership = {
      ...leader.membership,
      members: leader.membership.members.map((member) => ({ ...member, peer: 'p'.repeat(262) })),
    };
    await leader.call(clusterService.promoteMember, { name: 'm4' });
    assert.deepEqual(leader.history, []);
    assert.equal(leader.warnings[0], `the history does not tell that ${who} added m4 at m4:7071: m1 does not lead`);
    assert.match(leader.warnings[1] ?? '', /promoted m4 at p{262}: .*the peer of a master has 262 characters/);
  });

  it('is waited for three election timeouts, and then the change is answered as made', async () => {
    const leader = new Leader('m2', 'm3');
    const held: (() => void)[] = [];
    leader.log.held = held;
    await leader.call(clusterService.removeMember, { name: 'm3' });
    assert.equal(leader.time.now(), 3 * electionTimeoutMs);
    assert.equal(leader.warnings.length, 1);
    assert.match(leader.warnings[0] ?? '', /removed m3 at m3:7071, or does so late: the entry took longer than 3s/);
    // It comes late, and with an error that has no handler.
    leader.log.trouble = { error: new ProposeError('unknown-outcome', 'leadership was lost'), lost: false };
    for (const letGo of held) letGo();
    await leader.time.runFor(1);
    assert.equal(leader.warnings.length, 1);
  });

  it('may lack a change whose outcome is unknown: it has no entry, and the log says so', async () => {
    const leader = new Leader('m2', 'm3');
    await leader.add('m4');
    const error = new ProposeError('unknown-outcome', 'leadership was lost on the way');
    leader.trouble = { at: 'promote', error };
    await assert.rejects(leader.call(clusterService.promoteMember, { name: 'm4' }), /leadership was lost on the way/);
    assert.equal(leader.history.length, 1);
    assert.deepEqual(leader.warnings, [
      `the history does not tell whether ${who} promoted m4 at m4:7071: leadership was lost on the way`,
    ]);
  });
});
