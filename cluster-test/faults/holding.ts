/** What an agent was granted, in a form that answers, logs and replicas can be compared in. */
import type { sublet } from '#proto/sublet.js';

export type Holding = {
  readonly subnets: readonly string[];
  readonly vtepIp: string;
  readonly vtepMac: string;
  readonly nodeIp: string;
  readonly epoch: number;
};

export function holdingOf(agent: sublet.v1.Agent.$Properties | null | undefined): Holding {
  return {
    subnets: (agent?.overlays ?? []).map(({ subnet }) => subnet ?? ''),
    vtepIp: agent?.vxlan?.vtepIp ?? '',
    vtepMac: agent?.vxlan?.vtepMac ?? '',
    nodeIp: agent?.nodeIp ?? '',
    epoch: agent?.lease?.epoch ?? 0,
  };
}

export function sameHolding(one: Holding, other: Holding): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A line of a client's log: what a master acknowledged, written down before anything else is done with it. */
export type Acknowledgement = {
  readonly number: number;
  readonly agentId: string;
  readonly holding: Holding;
  readonly revision: number;
};
