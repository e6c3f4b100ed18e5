/** The plan as the masters have it, for files. */
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { exitCodes, Failure } from '#cli/failure.js';
import type { LivePlan } from '#cli/plan-file/plan-changes.js';

const readsMax = 20;

/** Reads all of it at one revision. @throws Failure when it changes with each read */
export async function readLivePlan(client: MasterClient): Promise<LivePlan> {
  const again = { idempotent: true } as const;
  for (let read = 0; read < readsMax; read++) {
    const { network, revision, clusterId } = await client.call(operatorService.getNetwork, {}, again);
    const found = await client.call(operatorService.listReservations, {}, again);
    if (found.revision === revision) {
      return { clusterId, revision, network: network ?? {}, reservations: found.reservations };
    }
  }
  throw new Failure(exitCodes.refused, `the plan changed between all of ${readsMax} reads; nothing was changed`, [
    'Ask again when fewer agents register.',
  ]);
}
