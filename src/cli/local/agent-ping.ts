/**
 * Whether this host reaches the others through the tunnel. The masters name the peers; the desired state of this host
 * follows from that, so that what is missing can be named.
 */

import type { Command } from 'commander';
import { hostInput } from '#agent/host-input.js';
import { leaseOf } from '#agent/lease/lease.js';
import { PeerTable } from '#agent/peers/peer-table.js';
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { listAgents } from '#cli/agent-list.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { askAgent } from '#cli/local/agent-local.js';
import { operate } from '#cli/operator/operator.js';
import { forPeople, plainJson, writeValue } from '#cli/output/form.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import type { PingProbe, PingReport } from '#host/host-status.js';
import { defaultHostSettings, type HostInput } from '#host/input.js';
import { pingPeers } from '#host/reach/ping.js';
import type { PeerKnowledge } from '#host/reach/ping-causes.js';
import { processRunner } from '#host/tools/runner.js';
import { sublet } from '#proto/sublet.js';
import { printable } from '#text/printable-text.js';

const { WatchResponse } = sublet.v1;

/** @throws Failure when one is not reached */
export async function pingAgents(
  command: Command,
  target: string | undefined,
  http: string,
  terminal: Terminal,
): Promise<void> {
  const { agent_id: self, network_mode: mode } = await askAgent(http);
  if (mode === 'plan') {
    throw new Failure(exitCodes.refused, `${self} runs with --network plan: it has no tunnel that could be probed`);
  }
  await operate(command, terminal, async ({ client, output }) => {
    const { input, known } = await inputOf(client, self);
    const reports = await pingPeers(input, processRunner, target, known).catch((error: unknown) => {
      // No peer of that name, or no `ping` on this host: said in words for people.
      throw error instanceof Error ? new Failure(exitCodes.refused, error.message) : error;
    });
    if (forPeople(output)) terminal.write(formatReports(reports, terminal));
    else writeValue(output, plainJson(reports), terminal);
    const lost = reports.filter(({ reachable }) => !reachable).length;
    if (lost > 0) throw new Failure(exitCodes.refused, `${lost} of ${reports.length} agents are not reached`);
  });
}

/** How the masters' plan wants this host to look. */
async function inputOf(
  client: MasterClient,
  self: string,
): Promise<{ input: HostInput; known: (agentId: string) => PeerKnowledge }> {
  const { agent } = await client.call(operatorService.getAgent, { agentId: self }, { idempotent: true });
  const { network, clusterId, revision } = await client.call(operatorService.getNetwork, {}, { idempotent: true });
  const { agents } = await listAgents(client);
  const parts = { agent: agent ?? null, lease: agent?.lease ?? null, network: network ?? null };
  const lease = leaseOf(new sublet.v1.RegisterResponse({ ...parts, clusterId, revision }));
  const table = new PeerTable(self);
  table.take(new WatchResponse({ snapshotBegin: { clusterId, revision } }));
  table.take(new WatchResponse({ snapshotChunk: { network: network ?? null, agents } }));
  table.take(new WatchResponse({ snapshotEnd: { revision } }));
  const peers = table.picture?.peers ?? [];
  const { network: known } = lease;
  const byId = new Map(agents.map((one) => [one.agentId, one]));
  return {
    input: hostInput({
      lease,
      leaseValid: true,
      network: known,
      peers,
      settings: defaultHostSettings,
      formerClusterIds: [],
    }),
    known: (agentId) => knowledgeOf(byId.get(agentId)),
  };
}

const { OverlayStatus, PresenceState } = sublet.v1;

/** What the masters know of a peer, in the order in which it explains a missing answer. */
export function knowledgeOf(agent: sublet.v1.Agent.$Properties | undefined): PeerKnowledge {
  if (agent === undefined) return { kind: 'none' };
  if (agent.presence?.state === PresenceState.PRESENCE_STATE_SILENT) return { kind: 'silent' };
  const states = (agent.overlays ?? []).flatMap(({ info, state }) =>
    state ? [{ name: info?.name ?? '', ...state }] : [],
  );
  const failed = states.filter(({ status }) => status === OverlayStatus.OVERLAY_STATUS_FAILED);
  if (failed.length > 0) {
    return { kind: 'failed', errors: failed.map(({ name, error }) => `overlay ${name}: ${error ?? ''}`) };
  }
  const isBuilt = states.some(({ status }) => status === OverlayStatus.OVERLAY_STATUS_OK);
  return isBuilt || states.length === 0 ? { kind: 'none' } : { kind: 'nothing-built' };
}

export function formatReports(reports: readonly PingReport[], terminal: Terminal): string {
  if (reports.length === 0) return 'There are no other agents.\n';
  const rows = reports.map(({ agentId, nodeIp, vtepIp, reachable, probes }): readonly Cell[] => [
    { text: agentId, style: 'bold' },
    nodeIp,
    vtepIp,
    reachable ? { text: 'reached', style: 'green' } : { text: 'not reached', style: 'red' },
    probes.map(probeWords).join(', '),
  ]);
  const columns = [
    { title: 'AGENT', least: 10 },
    { title: 'NODE IP' },
    { title: 'VTEP' },
    { title: 'TUNNEL' },
    { title: 'BYTES: TIME', least: 12 },
  ];
  const causes = reports.flatMap(({ agentId, causes }) =>
    causes.map((cause) => `${terminal.paint('yellow', '!')} ${agentId}: ${printable(cause)}\n`),
  );
  return formatTable(columns, rows, terminal) + causes.join('');
}

const paths = {
  vtep: '',
  vtep6: 'IPv6 ',
  underlay: 'underlay ',
  hop: 'one hop ',
  hop6: 'IPv6 one hop ',
  bridge: 'from the bridge ',
} as const;

function probeWords({ path, packetBytes, ok, roundTripMs, says }: PingProbe): string {
  const result = ok ? (roundTripMs === undefined ? 'ok' : `${roundTripMs.toFixed(1)} ms`) : says || 'nothing';
  return `${paths[path]}${packetBytes}: ${result}`;
}
