/**
 * A plan as specs use it: commands are proposed in log order on a clock that the test owns, pass through their encoded
 * form, and land in a store of records. Not part of the product.
 */
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { formatCidr, isCidr4, parseCidr, parseIp } from '#address/ip.js';
import { parseOui } from '#address/mac.js';
import { decodeCommand, encodeCommand } from '#ipam/codec/command-codec.js';
import type { Action, CommandOrigin, HolderJudgement, Register } from '#ipam/commands/command.js';
import type { Refusal } from '#ipam/commands/result.js';
import { parseAgentId, parseInstanceId } from '#ipam/identity.js';
import { Ipam, type Outcome } from '#ipam/ipam.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { parseHostname, parseNetworkConfig, parseNodeIp, parseSequence } from '#ipam/registration-fields.js';
import { viewAgent } from '#ipam/view/agent-view.js';
import type { FullAgent, NetworkConfig } from '#ipam/view/full-agent.js';

export const everything: NetworkConfig = {
  allocateSubnet: true,
  mesosBridge: true,
  dockerBridge: true,
  enableIpv6: true,
  split: true,
  overlayMtu: 1420,
};

/** DC/OS's example with an IPv4 and an IPv6 overlay. */
export const dcosSettings: NetworkSettings = {
  vtepSubnet: parseCidr4('44.128.0.0/20'),
  vtepSubnet6: parseCidr6('fd01:a::/64'),
  vtepMacOui: parseOui('70:B3:D5:00:00:00'),
  vtepMtu: 0,
  vni: 1024,
  vtepName: 'vtep1024',
  vxlanPort: 64000,
  quarantineMs: 900_000,
  reclaimMs: undefined,
};

/** `overlay('dcos', '9.0.0.0/8', 24)`, `overlay('both', '9.0.0.0/8', 24, 'fd01:b::/64', 80)`. */
export function overlay(name: string, ...parts: (string | number)[]): Overlay {
  let v4: Overlay['v4'];
  let v6: Overlay['v6'];
  for (let at = 0; at < parts.length; at += 2) {
    const subnet = parseCidr(String(parts[at]));
    const prefix = Number(parts[at + 1]);
    if (isCidr4(subnet)) v4 = { subnet, prefix };
    else v6 = { subnet, prefix };
  }
  return { name, v4, v6, enabled: true };
}

export const dcos = overlay('dcos', '9.0.0.0/8', 24);

type Details = Partial<Pick<Register, 'runId' | 'takeover' | 'held' | 'heldUnconfirmed' | 'holders'>> & {
  readonly instance?: string;
  readonly sequence?: number;
  readonly node?: string;
  readonly hostname?: string;
  readonly networkConfig?: NetworkConfig;
};

/** A request of agent `id`; by default of its first instance, on a node of its own. */
export function registration(id: string, details: Details = {}): Register {
  const { instance = `${id}-1`, node = `10.0.0.${Number(/\d+$/.exec(id)?.[0] ?? 0) + 1}` } = details;
  const { sequence = 1, hostname = id, networkConfig = everything } = details;
  const { runId, takeover = false, held, heldUnconfirmed = false, holders = [] } = details;
  return {
    kind: 'register',
    agentId: parseAgentId(id),
    instanceId: parseInstanceId(instance),
    runId,
    sequence: parseSequence(sequence),
    nodeIp: parseNodeIp(parseIp(node)),
    hostname: parseHostname(hostname),
    networkConfig: parseNetworkConfig(networkConfig),
    takeover,
    held,
    heldUnconfirmed,
    holders,
  };
}

export class PlanUnderTest {
  ipam = new Ipam();
  index = 0;
  /** Cluster time, ms. */
  time = 0;
  /** What a replica would have on disk, by key in hexadecimal digits. */
  readonly store = new Map<string, readonly [Uint8Array, Uint8Array]>();

  constructor(settings: Partial<NetworkSettings> = {}, overlays: readonly Overlay[] = [dcos]) {
    this.run({ kind: 'configure-network', settings: { ...dcosSettings, ...settings }, overlays });
  }

  /** Proposes a command, whatever comes of it. */
  try(action: Action, origin: Partial<CommandOrigin> = {}): Outcome {
    const command = { wallTime: 1_700_000_000_000 + this.time, by: '', ...origin, ...action };
    this.index += 1;
    const outcome = this.ipam.apply(decodeCommand(encodeCommand(command)), { index: this.index, time: this.time });
    for (const { key, value } of outcome.changes) {
      const name = Buffer.from(key).toString('hex');
      if (value === undefined) this.store.delete(name);
      else this.store.set(name, [key, value]);
    }
    return outcome;
  }

  /** Proposes a command that must be applied. */
  run(action: Action, origin: Partial<CommandOrigin> = {}): Outcome {
    const outcome = this.try(action, origin);
    if (outcome.result.kind === 'refused') fail(`${action.kind} was refused: ${outcome.result.message}`);
    return outcome;
  }

  /** Proposes a command that must be refused, and leave everything as it was. */
  refused(action: Action, origin: Partial<CommandOrigin> = {}): Refusal {
    const before = this.ipam.hash();
    const { result, events, changes } = this.try(action, origin);
    if (result.kind !== 'refused') fail(`${action.kind} was not refused`);
    if (events.length > 0 || changes.length > 0 || this.ipam.hash() !== before) {
      fail(`${action.kind} was refused but has changed something`);
    }
    return result;
  }

  request(id: string, details: Details = {}): Register {
    return registration(id, details);
  }

  register(id: string, details: Details = {}): FullAgent {
    const { result } = this.run(this.request(id, details));
    if (result.kind !== 'registered') fail(`register answered ${result.kind}`);
    return viewAgent(result.agent);
  }

  /** The leader's judgement of an agent's lease as it is now. */
  judge(id: string, silent: boolean, heardSecondsAgo?: number): HolderJudgement {
    const agentId = parseAgentId(id);
    const epoch = this.ipam.lease(agentId)?.epoch ?? 0;
    const now = 1_700_000_000_000 + this.time;
    return {
      agentId,
      epoch,
      silent,
      lastHeard: heardSecondsAgo === undefined ? undefined : now - heardSecondsAgo * 1000,
    };
  }

  release(...ids: string[]): Outcome {
    return this.run({ kind: 'release', agentIds: ids.map(parseAgentId), force: true, holders: [] });
  }

  agent(id: string): FullAgent {
    const agent = this.ipam.agent(parseAgentId(id));
    if (agent === undefined) fail(`there is no agent ${id}`);
    return agent;
  }

  /** A second replica, from the records alone. */
  restored(): Ipam {
    const sorted = [...this.store].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record);
    return Ipam.restore(sorted);
  }
}

/** The agent's piece of an overlay: `9.0.1.0/24`. */
export function subnetOf(agent: FullAgent, name = 'dcos'): string | undefined {
  const subnet = agent.overlays.find(({ info }) => info.name === name)?.subnet;
  return subnet && formatCidr(subnet);
}

function fail(message: string): never {
  throw new Error(message);
}
