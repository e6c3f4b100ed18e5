/**
 * The agents as targets of Prometheus (http_sd): one group for each, by the address at which others reach its host. The
 * plan has no ports of agents, so the caller names the one at which theirs answer.
 */
import { formatIp, isIpv4 } from '#address/ip.js';
import type { HttpAnswer } from '#http/bounded-server.js';
import { text } from '#http/bounded-server.js';
import { pacedAnswer } from '#http/paced-answer.js';
import type { AgentId } from '#ipam/identity.js';
import type { PlanClient } from '#master/services/plan-client.js';

/** Agents that are worked out without a break. */
const sliceAgents = 1_000;
/** Where an agent answers by default. */
const defaultPort = 7073;
/** Lists that are kept beside that of the default port, one for each other port. */
const portsMax = 4;
/** A list that was not asked for in so long makes room for that of another port, in ms. */
const portMs = 60_000;

type Kept = { readonly answer: () => Promise<HttpAnswer>; askedAtMs: number };

/**
 * Answers `url`, the path with its query. A list is worked out for all who ask for it together: another port for each request
 * must be no way around that.
 */
export function agentTargets(
  plan: PlanClient,
  now: () => number = () => performance.now(),
): (url: string) => HttpAnswer | Promise<HttpAnswer> {
  const lists = new Map<number, Kept>();
  const others = (): readonly (readonly [number, Kept])[] => [...lists].filter(([port]) => port !== defaultPort);
  return (url) => {
    const port = portOf(url);
    if (port === undefined) return text(400, 'port is not a number from 1 to 65535');
    if (!lists.has(port) && port !== defaultPort && others().length >= portsMax) {
      for (const [other, { askedAtMs }] of others()) if (now() - askedAtMs >= portMs) lists.delete(other);
      const kept = others().map(([other]) => other);
      if (kept.length >= portsMax) return text(429, `port: ${portsMax} others are asked for: ${kept.join(', ')}`);
    }
    const list = lists.get(port) ?? { answer: paced(plan, port), askedAtMs: 0 };
    list.askedAtMs = now();
    lists.set(port, list);
    return list.answer();
  };
}

function portOf(url: string): number | undefined {
  const given = new URLSearchParams(url.split('?')[1] ?? '').get('port') ?? String(defaultPort);
  const port = /^[0-9]{1,5}$/.test(given) ? Number(given) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function paced(plan: PlanClient, port: number): () => Promise<HttpAnswer> {
  return pacedAnswer(
    () => `${plan.incarnation} ${plan.ipam.revision}`,
    () => targets(plan, port),
  );
}

/** An agent that has lost its address to another one is left out: the other one answers there. */
async function targets({ ipam }: PlanClient, port: number): Promise<HttpAnswer> {
  const groups: string[] = [];
  for (let last: AgentId | undefined; ; ) {
    const some = ipam.agentsAfter(last, sliceAgents);
    for (const { agentId, hostname, nodeIp, reachable } of some) {
      if (!reachable) continue;
      const address = formatIp(nodeIp);
      const target = `${isIpv4(nodeIp) ? address : `[${address}]`}:${port}`;
      const labels = { __meta_sublet_agent: agentId, __meta_sublet_hostname: hostname, __meta_sublet_node_ip: address };
      groups.push(JSON.stringify({ targets: [target], labels }));
    }
    if (some.length < sliceAgents) break;
    last = some.at(-1)?.agentId;
    await new Promise(setImmediate);
  }
  return { code: 200, type: 'application/json', body: Buffer.from(`[${groups.join(',')}]`) };
}
