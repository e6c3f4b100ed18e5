/**
 * Two clusters may have one id: a master that founded alone, and lost its disk after others had joined, may found another
 * one while the first goes on. What an agent holds of the one is not for the other to confirm, renew or replace.
 */
import { RefusedError } from '#api/refusal.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { foundingsDiffer } from '#replica/bootstrap/cluster-founding.js';

/** What the caller's lease, or its picture of the plan, is of; empty where it does not say. */
export type ToldFounding = {
  readonly clusterId?: string | null | undefined;
  readonly founding?: string | null | undefined;
};

/** Which cluster a master is of, and which founding of it. */
export type OwnFounding = Pick<PlanClient, 'clusterId' | 'founding'>;

/**
 * A cluster of another id is another matter: after a restore, agents go over to it.
 * @throws RefusedError `other-founding`
 */
export function checkFounding(action: string, { clusterId, founding }: ToldFounding, plan: OwnFounding): void {
  if (!founding || clusterId !== plan.clusterId || !foundingsDiffer(founding, plan.founding)) return;
  const shown = founding.slice(0, foundingLengthMax);
  throw new RefusedError(
    'other-founding',
    `${action}: what it holds is of founding ${shown} of cluster "${clusterId}", and this master is of founding ` +
      `${plan.founding}: two clusters have this id. If this master has lost its data, it must join the others again; if ` +
      'those are gone for good, found this cluster with an id of its own (cluster.id), or stop the agent and remove ' +
      'lease and peers from its state_dir',
  );
}

/** Characters of what a caller says that are shown. */
const foundingLengthMax = 16;
