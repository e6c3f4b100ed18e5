/**
 * The plan as a watcher has it, and what changed of it in words: responses of a watch in, one line per change out. A
 * snapshot in the middle of a watch (the watcher was too far behind) is printed as its differences.
 */
import { overlayUse, plural } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';

type Agent = sublet.v1.Agent.$Properties;
type Network = sublet.v1.Network.$Properties;
type Overlay = sublet.v1.Overlay.$Properties;
type WatchResponse = sublet.v1.WatchResponse;

export class PlanPicture {
  #agents = new Map<string, Agent>();
  #network: Network = {};
  #arriving: { readonly agents: Map<string, Agent>; network: Network } | undefined;

  /** The lines that this response is worth. */
  take(response: WatchResponse): readonly string[] {
    if (response.snapshotBegin) this.#arriving = { agents: new Map(), network: {} };
    else if (response.snapshotChunk) this.#chunk(response.snapshotChunk);
    else if (response.snapshotEnd) return this.#replace(response.snapshotEnd.revision ?? 0);
    else if (response.changes) {
      return (response.changes.changes ?? []).flatMap((change) => this.#change(change));
    }
    return [];
  }

  /** What a watch begins with. */
  introduction(revision: number): string {
    return `Revision ${revision}: ${plural(this.#agents.size, 'agent')}. Every change from here on, until Ctrl-C:\n`;
  }

  #chunk({ network, agents }: sublet.v1.SnapshotChunk.$Properties): void {
    if (this.#arriving === undefined) return;
    if (network) this.#arriving.network = network;
    for (const agent of agents ?? []) this.#arriving.agents.set(agent.agentId ?? '', agent);
  }

  #replace(revision: number): readonly string[] {
    if (this.#arriving === undefined) return [];
    const { agents, network } = this.#arriving;
    this.#arriving = undefined;
    const gone = [...this.#agents.keys()].filter((id) => !agents.has(id));
    return [
      ...gone.flatMap((id) => this.#remove(revision, id)),
      ...[...agents.values()].flatMap((agent) => this.#agent(revision, agent)),
      ...this.#networkChanged(revision, network),
    ];
  }

  #change({ revision, agentChanged, agentRemoved, networkChanged }: sublet.v1.Change.$Properties): readonly string[] {
    const at = revision ?? 0;
    if (agentChanged) return this.#agent(at, agentChanged);
    if (agentRemoved) return this.#remove(at, agentRemoved);
    return networkChanged ? this.#networkChanged(at, networkChanged) : [];
  }

  #remove(revision: number, id: string): readonly string[] {
    const old = this.#agents.get(id);
    this.#agents.delete(id);
    const held = old === undefined ? '' : `: held ${subnets(old).join(', ') || 'no subnet'}`;
    return [line(revision, '-', `agent ${id} is gone${held}`)];
  }

  #agent(revision: number, agent: Agent): readonly string[] {
    const id = agent.agentId ?? '';
    const old = this.#agents.get(id);
    this.#agents.set(id, agent);
    if (old === undefined) {
      const has = subnets(agent).join(', ') || 'no subnet';
      return [line(revision, '+', `agent ${id} at ${agent.nodeIp ?? ''}: ${has}, VTEP ${vtep(agent)}`)];
    }
    return differences(old, agent).map((what) => line(revision, '~', `agent ${id}: ${what}`));
  }

  #networkChanged(revision: number, network: Network): readonly string[] {
    const old = this.#network;
    this.#network = network;
    const before = new Map((old.overlays ?? []).map((each) => [each.name ?? '', each]));
    const after = new Map((network.overlays ?? []).map((each) => [each.name ?? '', each]));
    const lines = [...after].flatMap(([name, overlay]) => {
      const was = before.get(name);
      if (was === undefined) return [line(revision, '+', `overlay ${name}: ${spaces(overlay)}`)];
      return spaces(was) === spaces(overlay)
        ? []
        : [line(revision, '~', `overlay ${name}: ${spaces(overlay)}, was ${spaces(was)}`)];
    });
    for (const name of before.keys()) if (!after.has(name)) lines.push(line(revision, '-', `overlay ${name} is gone`));
    const [was, is] = [old, network].map(({ vtepSubnet, vtepSubnet6 }) =>
      [vtepSubnet, vtepSubnet6].filter(Boolean).join(' '),
    );
    if (was !== is) lines.push(line(revision, '~', `VTEP subnet: ${is}, was ${was || 'none'}`));
    return lines;
  }
}

/** `     4711  + agent …` */
function line(revision: number, sign: '+' | '-' | '~', what: string): string {
  return `${String(revision).padStart(8)}  ${sign} ${what}`;
}

function differences(old: Agent, agent: Agent): readonly string[] {
  const pairs: readonly (readonly [string, string, string])[] = [
    ['node ip', old.nodeIp ?? '', agent.nodeIp ?? ''],
    ['VTEP', vtep(old), vtep(agent)],
    ['epoch', String(old.lease?.epoch ?? 0), String(agent.lease?.epoch ?? 0)],
    ['subnets', subnets(old).join(', '), subnets(agent).join(', ')],
    ['on the host', states(old), states(agent)],
    ['reachable', reachable(old), reachable(agent)],
    ['host name', old.hostname ?? '', agent.hostname ?? ''],
  ];
  return pairs.flatMap(([name, was, is]) => (was === is ? [] : [`${name} ${is || 'none'}, was ${was || 'none'}`]));
}

function reachable(agent: Agent): string {
  return agent.reachable === false ? 'no' : 'yes';
}

function vtep(agent: Agent): string {
  return [agent.vxlan?.vtepIp, agent.vxlan?.vtepIp6].filter(Boolean).join(' ') || '-';
}

function subnets({ overlays }: Agent): readonly string[] {
  return (overlays ?? []).flatMap(({ info, subnet, subnet6 }) => {
    const blocks = [subnet, subnet6].filter(Boolean);
    return blocks.length === 0 ? [] : [`${info?.name ?? ''} ${blocks.join(' ')}`];
  });
}

const statusWords = ['-', 'ok', 'failed', 'configuring', 'plan only'];

function states({ overlays }: Agent): string {
  return (overlays ?? [])
    .map(({ info, state }) => {
      const word = statusWords[state?.status ?? 0] ?? '-';
      return `${info?.name ?? ''} ${word}${state?.error ? ` (${state.error})` : ''}`;
    })
    .join(', ');
}

function spaces(overlay: Overlay): string {
  const { subnet, prefix, subnet6, prefix6 } = overlay;
  const parts = [subnet && `${subnet} in /${prefix ?? 0}s`, subnet6 && `${subnet6} in /${prefix6 ?? 0}s`];
  return [...parts, overlayUse(overlay)].filter(Boolean).join(', ');
}
