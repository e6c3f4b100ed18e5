/**
 * Looks for a second cluster of the same id at the peer addresses of this master's own configuration: a backup that was
 * restored on each machine, or a founder that has lost its data. While there is one, this master grants nothing and is not
 * ready: which of the two stays is for an operator to decide. The leader looks at what other masters have found, too: its own
 * configuration may not have the address.
 */
import { RefusedError } from '#api/refusal.js';
import { masterPeerLengthMax } from '#ipam/limits.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import type { MasterLog } from '#master/master-log.js';
import { type Endpoint, endpoint } from '#master/server/endpoint.js';
import type { Warning } from '#master/warning.js';
import { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Founder, MemberHello } from '#replica/ports/peer-network.js';
import type { ReplicatedLog } from '#replica/ports/replicated-log.js';

export type OtherIncarnationsOptions = {
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  readonly clusterId: string;
  /** The masters that the configuration names, this one among them; the name is empty where it has an address alone. */
  readonly configured: readonly Founder[];
  /** Has the leader look at an address where another incarnation was found. */
  readonly report: (peer: string) => void;
  readonly hello: (peer: string) => Promise<MemberHello>;
  readonly clock: Clock;
  readonly logger: MasterLog;
};

const askEveryMs = 3_000;
/** How long the first answers are waited for before anything is granted, ms. */
const firstAnswersMs = 3_000;
/** A master of another incarnation that does not answer so often in a row is gone. */
const silentMax = 5;
/** What another master has found is looked at for so long after its last report, ms. */
const reportedMs = 30_000;
/** Addresses that other masters have reported; more are not looked at. */
const reportedMax = 16;

type Found = { readonly name: string; readonly incarnation: string; readonly reported: boolean; silent: number };

export class OtherIncarnations {
  readonly #options: OtherIncarnationsOptions;
  /** By peer address. */
  readonly #found = new Map<string, Found>();
  /** When other masters last reported these peer addresses, on the clock. */
  readonly #reported = new Map<string, number>();
  #begun = false;
  #asked = false;
  #cancel: () => void = () => undefined;
  #cancelFirst: () => void = () => undefined;
  #stopped = false;

  constructor(options: OtherIncarnationsOptions) {
    this.#options = options;
  }

  /** The incarnation of this master is known from now on. */
  start(): void {
    if (this.#begun || this.#stopped) return;
    this.#begun = true;
    if (this.#strangers().length === 0) this.#asked = true;
    else {
      this.#cancelFirst = this.#options.clock.after(firstAnswersMs, () => {
        this.#asked = true;
      });
    }
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#cancelFirst();
  }

  /** What other masters call. */
  get endpoint(): Endpoint {
    const place = { place: 'leader', idempotent: true } as const;
    return endpoint(forwardMethods.reportIncarnation, place, ({ peer }) => {
      this.reported(peer);
      return {};
    });
  }

  /** Another master of this cluster has found another incarnation at that address. */
  reported(peer: string): void {
    if (peer === '' || peer.length > masterPeerLengthMax || this.#stopped) return;
    const known = this.#reported.has(peer);
    if (!known && this.#reported.size >= reportedMax) return;
    this.#reported.set(peer, this.#options.clock.now());
    if (!known) void this.#ask();
  }

  /** Why this master must not grant anything; undefined: it may. */
  get problem(): string | undefined {
    const [first] = this.#found;
    if (first === undefined) return undefined;
    const [peer, { name, incarnation, reported }] = first;
    const { self, membership } = this.#options.log.status();
    const whose = reported ? 'another master' : self.name;
    return (
      `two clusters have the id "${membership.clusterId}": ${self.name} is of incarnation ${membership.incarnation}, and ${name} at ` +
      `${peer}, which is in the configuration of ${whose}, is of incarnation ${incarnation}`
    );
  }

  get refusal(): RefusedError | undefined {
    const { problem } = this;
    if (problem !== undefined) return new RefusedError('other-incarnation', `nothing is granted here: ${problem}`);
    if (this.#asked) return undefined;
    return new RefusedError('unavailable', 'this master is asking the other masters of its configuration who they are');
  }

  warnings(): readonly Warning[] {
    const { problem } = this;
    return problem === undefined
      ? []
      : [{ message: `nothing is granted here, and it is not ready: ${problem}`, remedy }];
  }

  /** Members of the configuration, and addresses that other masters reported, that this cluster does not have. */
  #strangers(): readonly Founder[] {
    const { log, configured, clock } = this.#options;
    const { self, membership } = log.status();
    for (const [peer, at] of this.#reported) if (clock.now() - at >= reportedMs) this.#reported.delete(peer);
    const reported = [...this.#reported.keys()].filter((peer) => !configured.some((each) => each.peer === peer));
    return [...configured, ...reported.map((peer) => ({ name: '', peer }))].filter(
      ({ name, peer }) =>
        name !== self.name && !membership.members.some((member) => member.name === name || member.peer === peer),
    );
  }

  #tick(): void {
    const { clock } = this.#options;
    void this.#ask().then(() => {
      this.#asked = true;
      this.#cancelFirst();
      if (!this.#stopped) this.#cancel = clock.after(askEveryMs, () => this.#tick());
    });
  }

  async #ask(): Promise<void> {
    const strangers = this.#strangers();
    for (const peer of this.#found.keys()) if (!strangers.some((each) => each.peer === peer)) this.#gone(peer);
    await Promise.all(
      strangers.map(async ({ peer }) => {
        try {
          this.#answered(peer, await this.#options.hello(peer));
        } catch {
          // Mostly nothing listens there.
          const found = this.#found.get(peer);
          if (found !== undefined && ++found.silent >= silentMax) this.#gone(peer);
        }
      }),
    );
  }

  #answered(peer: string, { clusterId, name, membership }: MemberHello): void {
    const own = this.#options.log.status().membership.incarnation;
    const other = membership?.incarnation ?? '';
    if (clusterId !== this.#options.clusterId || !incarnationsDiffer(other, own)) {
      this.#gone(peer);
      return;
    }
    const known = this.#found.get(peer);
    const reported = !this.#options.configured.some((each) => each.peer === peer);
    this.#found.set(peer, { name, incarnation: other, reported, silent: 0 });
    if (!reported) this.#options.report(peer);
    if (known?.incarnation !== other) {
      this.#options.logger.error({ remedy }, `nothing is granted here: ${this.problem}`);
    }
  }

  #gone(peer: string): void {
    if (!this.#found.delete(peer)) return;
    this.#options.logger.info({ peer }, 'the master of another incarnation is gone');
  }
}

const remedy =
  'stop the masters of the one that is not to stay, and have them join the other on empty data directories: docs/operations/backup.md';
