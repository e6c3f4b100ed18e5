/**
 * What a master's file says of the network, and what becomes of it (rule 9): the first leader establishes it, a
 * later one adds overlays that are new in its file, and everything else that differs is told to operators. A file
 * that disagrees never stops a master.
 */

import type { Action } from '#ipam/command.js';
import { encodeCommand } from '#ipam/command-codec.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { Warning } from '#master/cluster-service.js';
import type { IpamMachine, PlanOutcome } from '#master/ipam-machine.js';
import type { Leadership } from '#master/leadership.js';
import type { MasterLog } from '#master/master-log.js';
import { ProposeError, type ReplicatedLog } from '#replica/replicated-log.js';

export type ConfiguredNetwork = {
  /** What a cluster begins with that has no network yet. */
  readonly founding: { readonly settings: NetworkSettings; readonly overlays: readonly Overlay[] };
  /** What the file says; what it does not mention, a setting or the list of overlays, it leaves to the plan. */
  readonly file: {
    readonly settings: Partial<NetworkSettings>;
    readonly overlays: readonly Overlay[] | undefined;
  };
};

export type NetworkKeeperOptions = {
  readonly log: Pick<ReplicatedLog<PlanOutcome>, 'propose'>;
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
  /** Refusals of what the file asked for, until the next term in office. */
  #refused: readonly Warning[] = [];

  constructor(options: NetworkKeeperOptions) {
    this.#options = options;
    this.#unsubscribe = options.leadership.onChange(() => this.#seatChanged());
    this.#seatChanged();
  }

  /** What in the file differs from the plan now, and what the plan refused of it. */
  warnings(): readonly Warning[] {
    const { file } = this.#options.network;
    const { differences, additions } = this.#options.machine.ipam.disagreements(file.settings, file.overlays);
    return [
      ...differences.map(({ field, configured, replicated, remedy }) => ({
        message: `the file of ${this.#options.name} says ${field} is ${configured}, the plan has ${replicated}; the plan counts`,
        remedy,
      })),
      ...additions
        .filter(({ name }) => !this.#refused.some(({ message }) => message.includes(`"${name}"`)))
        .map(({ name }) => ({
          message: `the file of ${this.#options.name} has an overlay "${name}" that the plan does not have`,
          remedy: `it is added when ${this.#options.name} leads; or: sublet overlay add ${name}`,
        })),
      ...this.#refused,
    ];
  }

  stop(): void {
    this.#unsubscribe();
  }

  #seatChanged(): void {
    const leads = this.#options.leadership.seat.kind === 'here';
    if (leads && !this.#led) void this.#bring();
    this.#led = leads;
  }

  /** Proposes what the plan lacks, one after the other, and says what differs. */
  async #bring(): Promise<void> {
    const { machine, network, logger } = this.#options;
    this.#refused = [];
    if (machine.network === undefined) {
      await this.#propose({ kind: 'configure-network', ...network.founding });
    }
    const { file } = network;
    for (const overlay of machine.ipam.disagreements(file.settings, file.overlays).additions) {
      await this.#propose({ kind: 'add-overlay', overlay, source: 'config' });
    }
    for (const { message, remedy } of this.warnings()) logger.warn({ remedy }, message);
  }

  async #propose(action: Action): Promise<void> {
    const { log, wallClock, name, logger } = this.#options;
    const command = encodeCommand({ ...action, wallTime: wallClock(), by: `master ${name}` });
    try {
      const { output } = await log.propose(command);
      if (output.result.kind !== 'refused') return;
      const message = `the file of ${name} was refused: ${output.result.message}`;
      this.#refused = [...this.#refused, { message, remedy: 'change the file' }];
      logger.error({ field: output.result.field }, message);
    } catch (error) {
      // Whoever leads next does it; a master that only met an obstacle tries again when it leads anew.
      if (!(error instanceof ProposeError)) throw error;
      logger.warn(
        { code: error.code },
        `${action.kind} from the file of ${name} was not carried out: ${error.message}`,
      );
    }
  }
}
