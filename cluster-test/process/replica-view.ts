/** The whole plan as one master has it, read from that master's own state, in a form that two masters' can be compared in. */
import { MasterClient } from '#api/master-client.js';
import { type Json, responseJson } from '#api/proto-json.js';
import { operatorService } from '#api/services.js';
import type { sublet } from '#proto/sublet.js';

const pageSize = 1_000;
const pagesMax = 1_000;

type Agent = sublet.v1.Agent.$Properties;

export type ReplicaView = {
  readonly agents: readonly Agent[];
  /** Newest 1,000 changes, oldest first. */
  readonly history: readonly sublet.v1.HistoryEntry.$Properties[];
  /** Everything, without what is one leader's account (presence), as canonical JSON. */
  readonly json: Json;
};

/** Reads everything, stale, from the master at `address`. */
export async function replicaView(address: string): Promise<ReplicaView> {
  const client = new MasterClient({ masters: [address], timeoutMs: 20_000 });
  const once = { idempotent: true };
  try {
    const agents = (await allAgents(client)).map((agent) => ({ ...agent, presence: null }));
    const history = await client.call(operatorService.listHistory, { limit: 1_000, stale: true }, once);
    const overlays = await client.call(operatorService.listOverlays, { stale: true }, once);
    const network = await client.call(operatorService.getNetwork, { stale: true }, once);
    const reservations = await client.call(operatorService.listReservations, { stale: true }, once);
    return {
      agents,
      history: history.entries,
      json: [
        responseJson(operatorService.listAgents, { agents }),
        responseJson(operatorService.listHistory, history),
        responseJson(operatorService.listOverlays, overlays),
        responseJson(operatorService.getNetwork, network),
        responseJson(operatorService.listReservations, reservations),
      ],
    };
  } finally {
    client.close();
  }
}

async function allAgents(client: MasterClient): Promise<Agent[]> {
  const agents: Agent[] = [];
  let pageToken = '';
  for (let page = 0; page < pagesMax; page++) {
    const request = { pageSize, pageToken, stale: true };
    const answer = await client.call(operatorService.listAgents, request, { idempotent: true });
    agents.push(...answer.agents);
    pageToken = answer.nextPageToken;
    if (pageToken === '') return agents;
  }
  throw new Error(`more than ${pagesMax} pages of agents`);
}
