/** Calls of the API as the page makes them: reads by GET, as JSON. What the page uses of the answers is typed here. */

export type Warned = { readonly message: string; readonly remedy?: string; readonly notice?: boolean };

export type StatusAnswer = {
  readonly clusterId?: string;
  readonly name?: string;
  readonly leader?: string;
  readonly term?: string;
  readonly version?: string;
  readonly agents?: {
    readonly total?: string;
    readonly live?: string;
    readonly silent?: string;
    readonly awaited?: string;
  };
  readonly silentAgents?: readonly {
    readonly agentId: string;
    readonly nodeIp?: string;
    readonly silentSince?: string;
  }[];
  readonly warnings?: readonly Warned[];
  readonly adoption?: boolean;
};

export type MemberAnswer = {
  readonly name: string;
  readonly peer?: string;
  readonly api?: string;
  readonly role?: string;
  readonly self?: boolean;
  readonly lag?: string;
  readonly alive?: boolean;
  readonly lastContact?: string;
  readonly stopRisk?: string;
  readonly freeBytes?: string;
  readonly spaceLow?: boolean;
  readonly ended?: string;
};
export type MembersAnswer = { readonly accountOf?: string; readonly members?: readonly MemberAnswer[] };

export type UsageAnswer = Readonly<
  Partial<Record<'held' | 'reserved' | 'excluded' | 'quarantined' | 'free' | 'total', string>>
>;
export type OverlaysAnswer = {
  readonly overlays?: readonly {
    readonly overlay: { readonly name: string };
    readonly usage?: UsageAnswer;
    readonly usage6?: UsageAnswer;
  }[];
};

export type AgentAnswer = {
  readonly agentId: string;
  readonly nodeIp?: string;
  readonly hostname?: string;
  readonly reachable?: boolean;
  readonly registeredAt?: string;
  readonly vxlan?: { readonly vtepIp?: string; readonly vtepMac?: string };
  readonly presence?: { readonly state?: string; readonly lastHeard?: string; readonly silentSince?: string };
  readonly overlays?: readonly {
    readonly info: { readonly name: string };
    readonly subnet?: string;
    readonly subnet6?: string;
    readonly state?: { readonly status?: string; readonly error?: string };
  }[];
};
export type AgentsAnswer = { readonly agents?: readonly AgentAnswer[]; readonly nextPageToken?: string };

export type LookupAnswer = {
  readonly ip: string;
  readonly kind?: string;
  readonly overlay?: string;
  readonly subnet?: string;
  readonly blockState?: string;
  readonly agentId?: string;
  readonly bridge?: string;
};

export type HistoryAnswer = {
  readonly entries?: readonly {
    readonly revision?: string;
    readonly time?: string;
    readonly what?: string;
    readonly who?: string;
    readonly subjects?: readonly string[];
    readonly detail?: string;
  }[];
};

/** @throws Error in the words of the master */
async function ask<Answer>(method: string, request: object = {}): Promise<Answer> {
  const message = encodeURIComponent(JSON.stringify(request));
  const response = await fetch(`/sublet.v1.${method}?connect=v1&encoding=json&message=${message}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message ?? `${method}: status ${response.status}`);
  return answer;
}

export const masters = {
  status: () => ask<StatusAnswer>('ClusterService/GetStatus'),
  members: () => ask<MembersAnswer>('ClusterService/ListMembers'),
  overlays: () => ask<OverlaysAnswer>('OperatorService/ListOverlays'),
  agents: (request: { readonly pageSize: number; readonly pageToken?: string; readonly presence?: string }) =>
    ask<AgentsAnswer>('OperatorService/ListAgents', request),
  agent: (agentId: string) => ask<{ readonly agent: AgentAnswer }>('OperatorService/GetAgent', { agentId }),
  lookup: (ip: string) => ask<LookupAnswer>('OperatorService/Lookup', { ip }),
  history: (request: object) => ask<HistoryAnswer>('OperatorService/ListHistory', request),
};

export async function blocks(overlay: string, family: string): Promise<readonly (readonly [number, number, string])[]> {
  const response = await fetch(`/ui/blocks?overlay=${encodeURIComponent(overlay)}&family=${family}`);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()).runs;
}
