/** Values of arguments and options that the masters know: ids of agents, names of overlays and of masters. */
import type { Command } from 'commander';
import { clusterService, operatorService } from '#api/services.js';
import { mastersOf, type Operator, operate } from '#cli/operator/operator.js';
import type { Terminal } from '#cli/terminal.js';
import { overlayUse, role } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';

export type Candidate = { readonly value: string; readonly about: string };

type Kind = 'agent' | 'overlay' | 'member' | 'reservation';

/** Path of a command and the name of its argument or option → what it takes. */
export const liveValues: Readonly<Record<string, Kind>> = {
  'agents ID': 'agent',
  'agents --overlay': 'overlay',
  'agents replace OLD': 'agent',
  'agents replace --by': 'agent',
  'agent ping AGENT': 'agent',
  'history --agent': 'agent',
  'history --who': 'agent',
  'release ID': 'agent',
  'reserve OVERLAY': 'overlay',
  'reserve --for': 'agent',
  'import flannel --overlay': 'overlay',
  'exclude OVERLAY': 'overlay',
  'unreserve OVERLAY': 'overlay',
  'unreserve SUBNET': 'reservation',
  'reservations --overlay': 'overlay',
  'reservations --for': 'agent',
  'overlays NAME': 'overlay',
  'overlay enable NAME': 'overlay',
  'overlay disable NAME': 'overlay',
  'overlay grow NAME': 'overlay',
  'overlay drain NAME': 'overlay',
  'overlay remove NAME': 'overlay',
  'members promote NAME': 'member',
  'members replace OLD': 'member',
  'members remove NAME': 'member',
  'transfer NAME': 'member',
};

/** For all masters together: a key that is pressed is answered within this time. */
const boundMs = 300;
const agentsMax = 1_000;

/**
 * What the masters know of that kind. None when no master answers in time, or refuses: a completion says nothing.
 * `command` has the options of the connection, as far as they were given.
 */
export async function askLive(kind: Kind, command: Command): Promise<readonly Candidate[]> {
  let found: readonly Candidate[] = [];
  try {
    const perMaster = Math.max(1, Math.floor(boundMs / mastersOf(command).length));
    command.setOptionValueWithSource('timeout', `${perMaster}ms`, 'implied');
    await operate(command, silent, async ({ client }) => {
      found = await asked[kind](client);
    });
  } catch {
    return [];
  }
  return found.filter(({ value }) => isPlain(value));
}

const once = { idempotent: true } as const;

const asked: Readonly<Record<Kind, (client: Operator['client']) => Promise<readonly Candidate[]>>> = {
  async agent(client) {
    const request = { pageSize: agentsMax, stale: true };
    const { agents } = await client.call(operatorService.listAgents, request, once);
    const { PRESENCE_STATE_SILENT } = sublet.v1.PresenceState;
    return agents.map(({ agentId, nodeIp, presence }) => {
      const silence = presence?.state === PRESENCE_STATE_SILENT ? ', silent' : '';
      return { value: agentId ?? '', about: `${nodeIp ?? ''}${silence}` };
    });
  },
  async overlay(client) {
    const { network } = await client.call(operatorService.getNetwork, { stale: true }, once);
    return (network?.overlays ?? []).map((overlay) => ({
      value: overlay.name ?? '',
      about: [overlay.subnet, overlay.subnet6, overlayUse(overlay)].filter(Boolean).join(', '),
    }));
  },
  async member(client) {
    const { members } = await client.call(clusterService.listMembers, {}, once);
    return members.map((member) => ({
      value: member.name ?? '',
      about: `${role(member.role)} at ${member.peer ?? ''}`,
    }));
  },
  async reservation(client) {
    const { reservations } = await client.call(operatorService.listReservations, { stale: true }, once);
    return reservations.map(({ subnet, overlay, agentId, nodeIp }) => ({
      value: subnet ?? '',
      about: `${overlay ?? ''}, ${nodeIp ? `for node ${nodeIp}` : agentId ? `for ${agentId}` : 'excluded'}`,
    }));
  },
};

/** A shell puts it into a command line as it is: what another machine sends must be a name or an address there. */
function isPlain(value: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/.test(value);
}

const silent: Terminal = {
  columns: undefined,
  interactive: false,
  write: () => undefined,
  note: () => undefined,
  ask: () => Promise.resolve(''),
  paint: (_, text) => text,
  paintNote: (_, text) => text,
  now: () => 0,
  pause: () => Promise.resolve(),
  clear: () => undefined,
};
