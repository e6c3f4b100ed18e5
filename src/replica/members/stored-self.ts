/** The identity of a member by its own store, and whether its configuration agrees. */
import { ExpectedError } from '#errors/expected-error.js';
import type { MemberId } from '#raft/log/entry.js';
import { removedText } from '#replica/members/membership-change.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { ReplicaOptions } from '#replica/replica-options.js';

/** The configuration is not of the member that the store belongs to. Starting again does not help; nothing was changed. */
export class ConfigurationMismatchError extends Error {
  override readonly name = 'ConfigurationMismatchError';
}

/** The cluster does not know this member, or not with this store. */
export class NotMemberError extends ExpectedError {
  override readonly name = 'NotMemberError';
}

/** @throws ConfigurationMismatchError; NotMemberError when the cluster does not know this member or this store */
export function storedSelf<Output>(
  { name, clusterId: configured, store }: Pick<ReplicaOptions<Output>, 'name' | 'clusterId' | 'store'>,
  { clusterId, members }: Membership,
  id: MemberId | undefined,
): MemberInfo {
  if (clusterId !== configured) {
    throw new ConfigurationMismatchError(
      `cluster.id: this store belongs to cluster ${clusterId}, but the configured cluster is ${configured}: ` +
        `set cluster.id (--cluster-id) to ${clusterId}, or use another data directory (data_dir, --data-dir)`,
    );
  }
  const self = members.find((member) => member.id === id);
  if (self === undefined) throw new NotMemberError(removedText(`${name} (id ${id})`));
  if (self.name !== name) {
    throw new ConfigurationMismatchError(
      `name: this store belongs to member ${self.name}, but the configured name is ${name}: ` +
        `start it as ${self.name} (name, --name), or give ${name} a data directory of its own (data_dir, --data-dir)`,
    );
  }
  if (self.storeId !== store.identity.storeId) {
    throw new NotMemberError(
      `the cluster knows member ${name} with store ${self.storeId}, not ${store.identity.storeId}`,
    );
  }
  return self;
}
