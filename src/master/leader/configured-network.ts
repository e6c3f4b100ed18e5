/**
 * The network in a master's file, and its use (rule 9): the first leader establishes it, a later one adds overlays that
 * are new in its file, and all other differences are reported to operators. A file that disagrees never stops a master.
 */

import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Action } from '#ipam/commands/command.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { type ConfigDrift, overlayAddCommand } from '#ipam/view/config-drift.js';
import type { IpamMachine, PlanOutcome } from '#master/ipam-machine.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { MasterLog } from '#master/master-log.js';
import type { Warning } from '#master/warning.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

export type ConfiguredNetwork = {
  /** What a cluster begins with that has no network yet. */
  readonly initial: { readonly settings: NetworkSettings; readonly overlays: readonly Overlay[] };
  /** What the file says; what it does not mention, a setting or the list of overlays, it leaves to the plan. */
  readonly file: {
    readonly settings: Partial<NetworkSettings>;
    readonly overlays: readonly Overlay[] | undefined;
  };
};

export type NetworkKeeperOptions = {
  readonly log: Pick<ReplicatedLog<PlanOutcome>, 'propose' | 'readBarrier'>;
  readonly machine: IpamMachine;
  readonly leadership: Leadership;
  readonly network: ConfiguredNetwork;
  /** This master's name, for the history. */
  readonly name: string;
  readonly wallClock: () => number;
  readonly logger: MasterLog;
};

export class NetworkKeeper {
  readonly #options: NetworkKeeperOptions;
  readonly #unsubscribe: () => void;
  #led = false;
  /** What the log says already. */
  #logged: ReadonlySet<string> = new Set();

  constructor(options: NetworkKeeperOptions) {
    this.#options = options;
    this.#unsubscribe = options.leadership.onChange(() => this.#seatChanged());
    this.#seatChanged();
  }

  /** What in the file differs from the plan now. */
  warnings(): readonly Warning[] {
    const { name, machine, network } = this.#options;
    const { file } = network;
    const { differences, additions } = machine.ipam.disagreements(file.settings, file.overlays);
    return [
      ...differences.map((difference) => this.#warning(difference)),
      ...additions.map((overlay) => ({
        message: `the file of ${name} has an overlay "${overlay.name}" that the plan does not have`,
        remedy: `it is added when ${name} takes the lead, or with: ${overlayAddCommand(overlay)}`,
      })),
    ];
  }

  /** What the file lacks, it does not contradict: an overlay added at run time would be a warning for good. */
  #warning({ kind, field, configured, replicated, remedy }: ConfigDrift): Warning {
    const file = `the file of ${this.#options.name}`;
    return kind === 'extra'
      ? { message: `${file} does not have ${field}, the plan does: ${replicated}`, remedy, notice: true }
      : { message: `${file} says ${field} is ${configured}, the plan has ${replicated}; the plan counts`, remedy };
  }

  stop(): void {
    this.#unsubscribe();
  }

  #seatChanged(): void {
    const { kind } = this.#options.leadership.seat;
    const leads = kind === 'here';
    if (leads && !this.#led) void this.#bring();
    if (kind === 'member') void this.#compare();
    this.#led = leads;
  }

  /** Proposes what the plan lacks, one after the other, and says what differs. */
  async #bring(): Promise<void> {
    const { machine, network } = this.#options;
    if (machine.network === undefined) {
      await this.#propose({ kind: 'configure-network', ...network.initial });
    }
    const { file } = network;
    for (const overlay of machine.ipam.disagreements(file.settings, file.overlays).additions) {
      await this.#propose({ kind: 'add-overlay', overlay, source: 'config' });
    }
    this.#log();
  }

  /** A follower reports the differences once it has the present plan. */
  async #compare(): Promise<void> {
    try {
      await this.#options.log.readBarrier();
      this.#log();
    } catch (error) {
      // The status tells it all the same, and the log at the next change of the leader.
      if (!(error instanceof ProposeError)) throw error;
    }
  }

  /** Writes down what was not there when it was last asked. */
  #log(): void {
    const warnings = this.warnings();
    const { logger } = this.#options;
    for (const { message, remedy, notice } of warnings) {
      if (this.#logged.has(message)) continue;
      if (notice) logger.info({ remedy }, message);
      else logger.warn({ remedy }, message);
    }
    this.#logged = new Set(warnings.map(({ message }) => message));
  }

  async #propose(action: Action): Promise<void> {
    const { log, wallClock, name, logger } = this.#options;
    const command = encodeCommand({ ...action, wallTime: wallClock(), by: `master ${name}` });
    try {
      const { output } = await log.propose(command);
      if (output.result.kind !== 'refused') return;
      logger.error({ field: output.result.field }, `the file of ${name} was refused: ${output.result.message}`);
    } catch (error) {
      // The next leader does it; a master that only met an obstacle tries again at its next term as leader.
      if (!(error instanceof ProposeError)) throw error;
      logger.warn(
        { code: error.code },
        `${action.kind} from the file of ${name} was not carried out: ${error.message}`,
      );
    }
  }
}
