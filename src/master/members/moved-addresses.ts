import type { MasterLog } from '#master/master-log.js';
import { type AddressCheck, addressProblem } from '#master/members/recorded-address.js';
import type { Warning } from '#master/warning.js';
import type { MovedMember } from '#replica/members/moved-members.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';
import { readMoved, removeMoved } from '#storage/files/moved-file.js';

export class MovedAddresses {
  readonly moved: readonly MovedMember[];
  readonly #folder: string;
  #inUse: boolean;

  private constructor(folder: string, moved: readonly MovedMember[]) {
    this.#folder = folder;
    this.moved = moved;
    this.#inUse = moved.length > 0;
  }

  /** @throws MovedFileError with what is wrong with the file */
  static async read(folder: string): Promise<MovedAddresses> {
    return new MovedAddresses(folder, await readMoved(folder));
  }

  /** This member knows its cluster. */
  begun(status: ReplicaStatus, configured: Pick<AddressCheck, 'founders' | 'joins' | 'listens'>, log: MasterLog): void {
    for (const { member, to } of status.moves) {
      log.info(
        { member: member.name, from: member.peer, to },
        `${member.name} is called at ${to}, as set by hand; recorded is ${member.peer}`,
      );
    }
    const problem = problemOf(status, configured);
    if (problem !== undefined) log.error({}, problem);
    this.settle(status, log);
  }

  /** The membership may have changed: when the cluster has recorded all addresses, the file goes. */
  settle({ moves }: Pick<ReplicaStatus, 'moves'>, log: MasterLog): void {
    if (!this.#inUse || moves.length > 0) return;
    this.#inUse = false;
    removeMoved(this.#folder).then(
      () => log.info({}, 'the cluster has recorded where its members are: addresses set by hand are out of use'),
      (error: unknown) => log.warn({ err: error }, `could not remove the addresses set by hand in ${this.#folder}`),
    );
  }

  warnings(
    status: ReplicaStatus,
    configured: Pick<AddressCheck, 'founders' | 'joins' | 'listens'>,
  ): readonly Warning[] {
    const { moves, leader } = status;
    const problem = leader === undefined ? problemOf(status, configured) : undefined;
    return [
      ...(problem === undefined ? [] : [{ message: problem, remedy: '' }]),
      ...moves.map(({ member, to }) => ({
        message: `${member.name} is called at ${to}, as set by hand at this master; recorded is ${member.peer}. The leader has it recorded once ${member.name} answers there`,
        remedy: '',
        notice: true,
      })),
    ];
  }
}

function problemOf(
  { self, membership: { members } }: ReplicaStatus,
  configured: Pick<AddressCheck, 'founders' | 'joins' | 'listens'>,
): string | undefined {
  const own = members.find(({ id }) => id === self.id);
  return own === undefined ? undefined : addressProblem({ self: own, members, ...configured });
}
