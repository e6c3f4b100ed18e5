/** What every `PeerNetwork` does, as long as the members can reach each other. */
import assert from 'node:assert/strict';
import { assertNever } from '#errors/invariant.js';
import { logIndex, type MemberId, memberId, term } from '#raft/log/entry.js';
import type { PeerMessage, SnapshotMessage } from '#raft/message.js';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerClaim, PeerEvent, PeerHandler, PeerNetwork } from '#replica/ports/peer-network.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';

export type ContractPeers = {
  /** Of each of three members, not started yet. `peer` is HOST:PORT. */
  readonly networks: readonly { readonly network: PeerNetwork; readonly peer: string }[];
  /** HOST:PORT at which nothing listens. */
  readonly nowhere: string;
  /** Advances time until `holds` returns true; it is asked again and again. Rejects when that takes too long. */
  readonly until: (what: string, holds: () => boolean) => Promise<void>;
};

export function peerNetworkContract(make: () => Promise<Subject<ContractPeers>>): readonly ContractCase[] {
  const peersCase = (name: string, check: (site: Site) => Promise<void>): ContractCase =>
    contractCase(make, name, async (subject) => {
      const site = new Site(subject);
      try {
        await check(site);
      } finally {
        for (const { network } of site.members) await network.stop();
      }
    });
  return [
    peersCase('delivers to the member that a message names, in order, and each once', async (site) => {
      const [one, two, three] = await site.started();
      await site.connected(one, two);
      const from = two.received.length;
      for (let commit = 1; commit <= 50; commit++) one.network.send(heartbeat(one, two, 1_000 + commit));
      await site.until('all of them', () => two.received.some((message) => commitOf(message) === 1_050));
      const fresh = two.received
        .slice(from)
        .map(commitOf)
        .filter((commit) => commit > 1_000);
      assert.deepEqual(
        fresh,
        Array.from({ length: 50 }, (_, at) => 1_001 + at),
      );
      const known = two.received.map(commitOf);
      assert.deepEqual(
        known,
        [...new Set(known)].sort((a, b) => a - b),
      );
      assert.deepEqual([one.received, three.received], [[], []]);
      assert.deepEqual(two.received[0], heartbeat(one, two, commitOf(two.received[0])));
    }),
    peersCase('delivers in both directions', async (site) => {
      const [one, two] = await site.started();
      await site.connected(one, two);
      await site.connected(two, one);
    }),
    peersCase('sends nothing to a member that it does not know, and does not throw', async (site) => {
      const [one, two] = await site.started();
      one.network.send({ ...heartbeat(one, two, 1), to: memberId(9) });
      await site.connected(one, two);
      assert.ok(two.received.every((message) => message.to === two.id));
    }),
    peersCase('says which member can not be reached', async (site) => {
      const [one, , three] = await site.started();
      const away = { ...three.info, peer: site.nowhere };
      one.network.setMembership(one.id, site.membership([...site.infos.slice(0, 2), away]));
      await site.until('it is known as unreachable', () => {
        one.network.send(heartbeat(one, three, 1));
        return one.unreachable.includes(three.id);
      });
      assert.deepEqual(three.received, []);
    }),
    peersCase('asks the member at an address for its identity, with the claim of its own store', async (site) => {
      const [one, two] = await site.started();
      // Connections show claims, too, but not this one.
      const claim = { ...claimOf(one), term: 9 };
      assert.deepEqual(await site.settled(one.network.hello(two.peer, claim)), two.hello);
      assert.deepEqual(await site.settled(one.network.hello(two.peer)), two.hello);
      const asked = two.askedBy.filter((caller) => caller === undefined || caller.term === claim.term);
      assert.deepEqual(asked, [claim, undefined]);
      await assert.rejects(site.settled(one.network.hello(site.nowhere)));
    }),
    peersCase('takes nothing for a member without a membership, and reports the claim of the caller', async (site) => {
      const [one, two] = await site.startedAlone();
      one.network.setMembership(one.id, site.membership());
      await site.until('the claim', () => {
        one.network.send(heartbeat(one, two, 1));
        return two.claims.length > 0;
      });
      const { clusterId, incarnation } = site.membership();
      const caller = { name: one.info.name, peer: one.peer, storeId: two.info.storeId };
      assert.deepEqual({ ...two.claims[0] }, { clusterId, incarnation, ...caller });
      assert.deepEqual(two.received, []);
    }),
    peersCase(
      'takes nothing of another incarnation of its cluster, and reports the claim of the caller',
      async (site) => {
        const [one, two] = await site.startedAlone();
        one.network.setMembership(one.id, { ...site.membership(), incarnation: 'f2' });
        two.network.setMembership(two.id, site.membership());
        await site.until('the claim', () => {
          one.network.send(heartbeat(one, two, 1));
          return two.claims.length > 0;
        });
        assert.equal(two.claims[0]?.incarnation, 'f2');
        assert.deepEqual(two.received, []);
      },
    ),
    peersCase('takes nothing of a store that was put back, and says so to its member', async (site) => {
      const [one, two] = await site.startedAlone();
      two.contradiction = 'it went back';
      for (const { network, id } of [one, two]) network.setMembership(id, site.membership());
      await site.until('the refusal', () => {
        one.network.send(heartbeat(one, two, 1));
        return one.refused.length > 0;
      });
      assert.match(one.refused[0] ?? '', /^rewound: .*it went back/);
      assert.deepEqual(two.askedBy[0], claimOf(one));
      assert.deepEqual(two.received, []);
    }),
    peersCase('carries what a member says of itself to all others', async (site) => {
      const [one, two, three] = await site.started();
      await site.until('both have it', () => {
        one.network.announce(report('new'));
        return [two, three].every(({ reports }) => reports.some(({ serves }) => serves === 'new'));
      });
      assert.deepEqual(one.reports, []);
      assert.deepEqual([...new Set(two.reportedBy)], [one.id]);
    }),
    peersCase('streams a snapshot, all of it and in order', async (site) => {
      const [one, two] = await site.started();
      const records = Array.from({ length: 100 }, (_, at) => ({
        key: new Uint8Array(Buffer.from(String(at).padStart(4, '0'))),
        value: new Uint8Array(Buffer.alloc(300, at)),
      }));
      await site.settled(one.network.sendSnapshot(snapshot(one, two, site), source(site.meta(), records)));
      const [{ message, meta, received } = assert.fail('nothing came')] = two.snapshots;
      assert.deepEqual(message, snapshot(one, two, site));
      assert.deepEqual(meta, site.meta());
      const plain = (of: readonly StateRecord[]) => of.map(({ key, value }) => [Buffer.from(key), Buffer.from(value)]);
      assert.deepEqual(plain(received), plain(records));
    }),
    peersCase('fails with a snapshot that its receiver does not take, or that has no receiver', async (site) => {
      const [one, two] = await site.started();
      two.refusesSnapshots = true;
      const message = snapshot(one, two, site);
      const send = (to: MemberId) =>
        site.settled(one.network.sendSnapshot({ ...message, to }, source(site.meta(), [])));
      await assert.rejects(send(two.id));
      await assert.rejects(send(memberId(9)));
    }),
    peersCase('hands nothing over once it is stopped', async (site) => {
      const [one, two] = await site.started();
      await site.connected(one, two);
      await two.network.stop();
      const before = two.received.length;
      await site.until('it is known as unreachable', () => {
        one.network.send(heartbeat(one, two, 5_000));
        return one.unreachable.includes(two.id);
      });
      assert.equal(two.received.length, before);
    }),
  ];
}

type Trio = readonly [Member, Member, Member];

/** Three members, and what arrives at each. */
class Site {
  readonly members: Trio;
  readonly nowhere: string;
  readonly #until: ContractPeers['until'];
  #commits = 0;

  constructor({ networks, nowhere, until }: ContractPeers) {
    const [one, two, three] = networks.map(({ network, peer }, at) => new Member(network, peer, at + 1));
    assert.ok(one && two && three, 'the contract takes three networks');
    this.members = [one, two, three];
    this.nowhere = nowhere;
    this.#until = until;
  }

  get infos(): readonly MemberInfo[] {
    return this.members.map(({ info }) => info);
  }

  membership(members: readonly MemberInfo[] = this.infos): Membership {
    const voters = members.map(({ id }) => id);
    const confState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    return { clusterId: 'c', incarnation: 'f1', confState, members, nextMemberId: memberId(4) };
  }

  meta(): AppliedMeta {
    return { index: logIndex(7), term: term(2), time: 70, membership: this.membership() };
  }

  /** Started, and known to each other. */
  async started(): Promise<Trio> {
    await this.startedAlone();
    for (const { network, id } of this.members) network.setMembership(id, this.membership());
    return this.members;
  }

  async startedAlone(): Promise<Trio> {
    for (const member of this.members) await this.settled(member.start());
    return this.members;
  }

  /** A message has arrived: those before it may have been lost. */
  async connected(from: Member, to: Member): Promise<void> {
    const before = to.received.length;
    await this.until(`${to.info.name} hears ${from.info.name}`, () => {
      if (to.received.length > before) return true;
      this.#commits += 1;
      from.network.send(heartbeat(from, to, this.#commits));
      return false;
    });
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return this.#until(what, holds);
  }

  /** Advances time until the promise is settled. */
  async settled<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false;
    const done = (): void => {
      settled = true;
    };
    promise.then(done, done);
    await this.until('the answer', () => settled);
    return promise;
  }
}

class Member {
  readonly network: PeerNetwork;
  readonly peer: string;
  readonly id: MemberId;
  readonly received: PeerMessage[] = [];
  readonly unreachable: MemberId[] = [];
  readonly refused: string[] = [];
  readonly claims: PeerClaim[] = [];
  readonly askedBy: (StoreClaim | undefined)[] = [];
  readonly reports: MemberReport[] = [];
  readonly reportedBy: MemberId[] = [];
  readonly snapshots: { message: SnapshotMessage; meta: AppliedMeta; received: readonly StateRecord[] }[] = [];
  /** How the store of every peer contradicts what this member knows. */
  contradiction: string | undefined;
  refusesSnapshots = false;

  constructor(network: PeerNetwork, peer: string, number: number) {
    this.network = network;
    this.peer = peer;
    this.id = memberId(number);
  }

  get info(): MemberInfo {
    return { id: this.id, name: `m${this.id}`, peer: this.peer, storeId: `${this.id}`.repeat(32) };
  }

  get hello(): MemberHello {
    const { name, storeId, peer } = this.info;
    return {
      clusterId: 'c',
      name,
      storeId,
      bootstrapped: false,
      membership: undefined,
      commandKinds: ['one', 'two'],
      founders: [{ name, peer }],
      seen: [{ name, storeId }],
      claim: claimOf(this),
      contradiction: undefined,
    };
  }

  start(): Promise<void> {
    const handler: PeerHandler = {
      claim: claimOf(this),
      hello: (caller) => {
        this.askedBy.push(caller);
        return { ...this.hello, contradiction: this.contradiction };
      },
      take: (event) => this.take(event),
      receiveSnapshot: async (message, meta, chunks) => {
        if (this.refusesSnapshots) throw new Error('it is not wanted');
        const received: StateRecord[] = [];
        for await (const chunk of chunks) received.push(...chunk);
        this.snapshots.push({ message, meta, received });
      },
    };
    return this.network.start(handler);
  }

  take(event: PeerEvent): void {
    switch (event.kind) {
      case 'message':
        this.received.push(event.message);
        return;
      case 'unknown-message':
        assert.fail(`${event.from}: ${event.reason}`);
        break;
      case 'report':
        this.reports.push(event.report);
        this.reportedBy.push(event.from);
        return;
      case 'claim':
        this.claims.push(event.claim);
        return;
      case 'unreachable':
        this.unreachable.push(event.member);
        return;
      case 'refused':
        this.refused.push(`${event.refusal}: ${event.reason}`);
        return;
      default:
        assertNever(event);
    }
  }
}

function claimOf({ info, id }: Member): StoreClaim {
  const session = { starts: 2, nonces: [`0000000${id}`, '0123abcd'] };
  return { storeId: info.storeId, session, term: 3, lastIndex: 4 };
}

function heartbeat({ id: from }: Member, { id: to }: Member, commit: number): PeerMessage {
  return { kind: 'heartbeat', from, to, term: term(3), commit: logIndex(commit), context: 0 };
}

function commitOf(message: PeerMessage | undefined): number {
  return message?.kind === 'heartbeat' ? message.commit : assert.fail(`${message?.kind} is no heartbeat`);
}

function snapshot({ id: from }: Member, { id: to }: Member, site: Site): SnapshotMessage {
  const { index, term: at, membership } = site.meta();
  return { kind: 'snapshot', from, to, term: term(3), snapshot: { index, term: at, confState: membership.confState } };
}

function source(meta: AppliedMeta, records: readonly StateRecord[]): SnapshotSource {
  return {
    meta,
    async *chunks() {
      for (let at = 0; at < records.length; at += 30) yield records.slice(at, at + 30);
    },
    close: () => Promise.resolve(),
  };
}

function report(serves: string): MemberReport {
  return { serves, space: { freeBytes: 9, neededBytes: 3, low: false }, commandKinds: ['one'] };
}
