/**
 * How a cluster begins, and how a member with an empty store finds its place in one that exists.
 *
 * The founders ask each other for their identities. Only when every one of them has an empty store, and every one has
 * seen the same founders with the same stores, does each write the same first state. This makes a disk that is wiped
 * meanwhile harmless: a founder that decides has fixed its account of the founders, so no founder can decide otherwise.
 * A founder that crashed before it wrote finds the others bootstrapped, with its own store among them, and follows
 * suit. A sole founder has no other to ask. It waits a moment instead: if its cluster has grown since, and its disk was
 * lost, the others call it.
 */

import { errorText } from '#errors/unknown-error.js';
import { logIndex, type MemberId, memberId, term } from '#raft/log/entry.js';
import type { BootstrapProblem, BootstrapProblemCode } from '#replica/bootstrap/bootstrap-problem.js';
import { incarnationOf, rejoinRemedy } from '#replica/bootstrap/incarnation.js';
import type { Clock } from '#replica/ports/clock.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import type { Founder, MemberHello, PeerClaim } from '#replica/ports/peer-network.js';
import { noMembership } from '#replica/replica-status.js';
import { formatDuration } from '#text/duration.js';

export type BootstrapOptions = {
  readonly name: string;
  readonly clusterId: string;
  readonly founders: readonly Founder[];
  /** HOST:PORT of members of a cluster that exists: when there are any, this member joins it and bootstraps nothing. */
  readonly join: readonly string[];
  readonly storeId: string;
  readonly clock: Clock;
  /** So long a founder that is alone waits for a member that knows it already, in ms. */
  readonly aloneMs: number;
  readonly hello: (peer: string) => Promise<MemberHello>;
  /** Called once per problem. */
  readonly problem: (problem: BootstrapProblem) => void;
};

export type Bootstrapped = {
  readonly how: 'founder' | 'joined';
  readonly memberId: MemberId;
  readonly meta: AppliedMeta;
};

/** Between two rounds of asking: while founders come up, and while something is wrong that an operator must mend. */
const pollMs = 100;
const mendPollMs = 2000;
const joinPollMs = 500;

type Seen = MemberHello['seen'];
type Answer = { readonly founder: Founder; readonly hello: MemberHello };
type Silence = { readonly founder: Founder; readonly problem: BootstrapProblem };
type Round = { readonly bootstrapped: Bootstrapped } | { readonly problem: BootstrapProblem };

export class Bootstrap {
  readonly #options: BootstrapOptions;
  #seen: Seen;
  #stopped = false;
  readonly #end: Promise<undefined>;
  #stop: () => void = () => {};
  #wake: (() => void) | undefined;
  readonly #reported = new Set<string>();
  readonly #beganAtMs: number;
  #claim: PeerClaim | undefined;

  constructor(options: BootstrapOptions) {
    this.#options = options;
    this.#beganAtMs = options.clock.now();
    this.#end = new Promise((resolve) => {
      this.#stop = () => resolve(undefined);
    });
    this.#seen = [{ name: options.name, storeId: options.storeId }];
  }

  /** For `MemberHello.seen`. */
  get seen(): Seen {
    return this.#seen;
  }

  /** Resolves when this member knows its place; undefined when stopped before. */
  async run(): Promise<Bootstrapped | undefined> {
    while (!this.#stopped) {
      // A founder that does not answer is not waited for after the end.
      const round = await Promise.race([this.#round(), this.#end]);
      if (round === undefined) break;
      if ('bootstrapped' in round) return round.bootstrapped;
      this.#report(round.problem);
      await this.#pause(
        round.problem.code === 'unreachable' || round.problem.code === 'not-ready' ? pollMs : this.#mendPollMs,
      );
    }
    return undefined;
  }

  /** One that joins is expected to be added any moment. */
  get #mendPollMs(): number {
    return this.#options.join.length > 0 ? joinPollMs : mendPollMs;
  }

  /**
   * A member of a cluster calls. For a sole founder it is the only sign that its cluster exists already: it bootstraps
   * nothing from then on.
   */
  claimed(claim: PeerClaim): void {
    const { clusterId, storeId } = this.#options;
    if (!this.#alone || claim.clusterId !== clusterId || claim.storeId === storeId || this.#claim !== undefined) return;
    this.#claim = claim;
    this.#wake?.();
  }

  get #alone(): boolean {
    const { name, founders, join } = this.#options;
    return join.length === 0 && founders.length === 1 && founders[0]?.name === name;
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
    this.#wake?.();
  }

  async #round(): Promise<Round> {
    const { name, founders, join, hello } = this.#options;
    const others = join.length > 0 ? join.map(unnamed) : founders.filter((founder) => founder.name !== name);
    const answers = await Promise.all(
      others.map(async (founder): Promise<Answer | Silence> => {
        try {
          return { founder, hello: await hello(founder.peer) };
        } catch (error) {
          const reason = errorText(error);
          return { founder, problem: problem('unreachable', founder, `does not answer: ${reason}`) };
        }
      }),
    );
    const answered = answers.flatMap((answer) => ('hello' in answer ? [answer] : []));
    for (const { founder, hello: peer } of answered) {
      const found = this.#identityProblem(founder, peer);
      if (found !== undefined) return { problem: found };
    }
    const place = this.#newestPlace(answered);
    if (place !== undefined) return place;
    if (join.length > 0) return this.#nothingToJoin(answered, answers);
    return this.#agree(answered, answers.flatMap((answer) => ('problem' in answer ? [answer.problem] : []))[0]);
  }

  #nothingToJoin(answered: readonly Answer[], answers: readonly (Answer | Silence)[]): Round {
    const [empty] = answered;
    if (empty !== undefined) {
      return { problem: problem('not-ready', empty.founder, 'belongs to no cluster yet, so there is nothing to join') };
    }
    const [silence] = answers.flatMap((answer) => ('problem' in answer ? [answer.problem] : []));
    if (silence === undefined) throw new RangeError('a member that joins asks another one');
    return { problem: silence };
  }

  /** No founder has begun. Begins if all founders answered and have seen the same stores. */
  #agree(answered: readonly Answer[], missing: BootstrapProblem | undefined): Round {
    const { name, clusterId, founders, storeId } = this.#options;
    if (!founders.some((founder) => founder.name === name)) {
      const [first] = founders;
      const message = `member ${name} is not among the founders, and no cluster answers that it could join`;
      return { problem: { code: 'not-a-member', peer: first?.peer ?? '', message } };
    }
    for (const { founder, hello } of answered) {
      if (describe(hello.founders) !== describe(founders)) {
        const theirs = `is configured with the founders ${describe(hello.founders)}, this member with ${describe(founders)}`;
        return { problem: problem('founders-differ', founder, `${theirs}: make them the same`) };
      }
    }
    const waits = this.#alone ? this.#aloneProblem() : undefined;
    if (waits !== undefined) return { problem: waits };
    const stores = [{ name, storeId }, ...answered.map(({ hello }) => ({ name: hello.name, storeId: hello.storeId }))];
    this.#seen = stores.sort(byName);
    if (missing !== undefined) return { problem: missing };
    const behind = answered.find(({ hello }) => !sameSeen(hello.seen, this.#seen));
    if (behind !== undefined) {
      return { problem: problem('not-ready', behind.founder, 'has not seen all founders yet') };
    }
    return bootstrapped(
      'founder',
      name,
      firstState(clusterId, founders, new Map(stores.map((one) => [one.name, one.storeId]))),
    );
  }

  /**
   * A member that lost its disk and is started with its first flags must not bootstrap its cluster again while the
   * others go on.
   */
  #aloneProblem(): BootstrapProblem | undefined {
    const { name, founders, clusterId, storeId, clock, aloneMs } = this.#options;
    const [self = unnamed('')] = founders;
    if (this.#claim !== undefined) {
      const { name: caller, peer, storeId: known } = this.#claim;
      const message = `${wipedText({ name: caller, peer }, name, known, storeId)}; ${rejoinRemedy(name)}`;
      return { code: 'wiped', peer, message };
    }
    if (clock.now() - this.#beganAtMs >= aloneMs) return undefined;
    const what = `bootstraps cluster ${clusterId} alone, and first waits ${formatDuration(aloneMs)} for masters that know it already`;
    return problem('not-ready', self, what);
  }

  /**
   * By the newest membership among the answers: a member that was removed may still run, and does not know of members
   * that came after. Ids are given in order and never twice, so the member that has given more ids is newer. Among
   * memberships with equally many ids, that of the one that does not know this member has seen it removed.
   */
  #newestPlace(answered: readonly Answer[]): Round | undefined {
    const known = answered.flatMap(({ founder, hello: { membership } }) =>
      membership === undefined ? [] : [{ given: membership.nextMemberId, place: this.#place(founder, membership) }],
    );
    const most = Math.max(...known.map(({ given }) => given));
    const newest = known.flatMap(({ given, place }) => (given === most ? [place] : []));
    return newest.find((place) => 'problem' in place) ?? newest[0];
  }

  /** The place that an existing cluster has for this member. */
  #place(founder: Founder, membership: Membership): Round {
    const { name, founders, storeId, clusterId } = this.#options;
    const own = membership.members.find((member) => member.name === name);
    if (own === undefined) {
      const wayIn = `add it with \`sublet members add ${name}=HOST:PORT\`, or correct its configuration`;
      return { problem: problem('not-a-member', founder, `belongs to a cluster that has no member ${name}: ${wayIn}`) };
    }
    if (own.storeId !== storeId) {
      const message = `${wipedText(founder, name, own.storeId, storeId)}; ${rejoinRemedy(name)}`;
      return { problem: { code: 'wiped', peer: founder.peer, message } };
    }
    const stores = new Map(membership.members.map((member) => [member.name, member.storeId]));
    const first = firstState(clusterId, founders, stores);
    if (first !== undefined && sameMembership(first.membership, membership)) {
      return bootstrapped('founder', name, {
        ...first,
        membership: { ...first.membership, incarnation: membership.incarnation },
      });
    }
    // The membership has changed since: begin with nothing, and learn all from a snapshot.
    const empty = { ...membership, confState: noMembership(clusterId).confState };
    return bootstrapped('joined', name, { index: logIndex(0), term: term(0), time: 0, membership: empty });
  }

  #identityProblem(founder: Founder, peer: MemberHello): BootstrapProblem | undefined {
    const { name, clusterId } = this.#options;
    if (peer.clusterId !== clusterId) {
      const clusters = `belongs to cluster ${peer.clusterId}, this member to ${clusterId}`;
      return problem('other-cluster', founder, `${clusters}: correct the address, or the cluster id`);
    }
    if (peer.name === founder.name || (founder.name === '' && peer.name !== name)) return undefined;
    const answers = `answers as ${peer.name}${peer.name === name ? ', which is the name of this member' : ''}`;
    return problem('name-mismatch', founder, `${answers}: names are unique, and each has its own address`);
  }

  #report(found: BootstrapProblem): void {
    const key = `${found.code} ${found.peer} ${found.message}`;
    // Bounds the memory: after so many different problems an old one is reported again.
    if (this.#reported.size >= 1000) this.#reported.clear();
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#options.problem(found);
  }

  #pause(delayMs: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** The state every founder writes; undefined if a store is not known. Ids go by the order of names. */
function firstState(
  clusterId: string,
  founders: readonly Founder[],
  stores: ReadonlyMap<string, string>,
): AppliedMeta | undefined {
  const members: MemberInfo[] = [];
  for (const { name, peer } of [...founders].sort(byName)) {
    const storeId = stores.get(name);
    if (storeId === undefined) return undefined;
    members.push({ id: memberId(members.length + 1), name, peer, storeId });
  }
  const confState = { ...noMembership(clusterId).confState, voters: members.map(({ id }) => id) };
  const nextMemberId = memberId(members.length + 1);
  const membership = { clusterId, incarnation: incarnationOf(members), confState, members, nextMemberId };
  return { index: logIndex(1), term: term(1), time: 0, membership };
}

function bootstrapped(how: Bootstrapped['how'], name: string, meta: AppliedMeta | undefined): Round {
  const own = meta?.membership.members.find((member) => member.name === name);
  if (meta === undefined || own === undefined) {
    throw new Error(`member ${name} is not in the state it wants to bootstrap`);
  }
  return { bootstrapped: { how, memberId: own.id, meta } };
}

function problem(code: BootstrapProblemCode, founder: Founder, what: string): BootstrapProblem {
  return { code, peer: founder.peer, message: `${named(founder)} ${what}` };
}

function wipedText(by: Founder, name: string, known: string, storeId: string): string {
  const lost = `knows ${name} with store ${known}, but this store is ${storeId}: its data was lost`;
  return `${named(by)} ${lost}, and with it what it has promised`;
}

function named({ name, peer }: Founder): string {
  return name === '' ? `the member at ${peer}` : `${name} at ${peer}`;
}

/** A member to ask whose name is not known. */
function unnamed(peer: string): Founder {
  return { name: '', peer };
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : Number(one.name > other.name);
}

function describe(founders: readonly Founder[]): string {
  return [...founders]
    .sort(byName)
    .map(({ name, peer }) => `${name}=${peer}`)
    .join(', ');
}

function sameSeen(one: Seen, other: Seen): boolean {
  const text = (seen: Seen) => JSON.stringify([...seen].sort(byName).map(({ name, storeId }) => [name, storeId]));
  return text(one) === text(other);
}

function sameMembership(one: Membership, other: Membership): boolean {
  const text = ({ confState, members, nextMemberId }: Membership) =>
    JSON.stringify([
      [...confState.voters].sort(),
      confState.votersOutgoing,
      confState.learners,
      members.map(({ id, name, peer, storeId }) => [id, name, peer, storeId]),
      nextMemberId,
    ]);
  return text(one) === text(other);
}
