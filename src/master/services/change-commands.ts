/** The commands that operators' requests ask for, for the call of each change and for its preview. */
import { formatCidr } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import type { Command } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import type { LeaseKeeper } from '#master/leases/lease-keeper.js';
import type { CallContext } from '#master/server/endpoint.js';
import { parseField } from '#master/server/refusal-mapping.js';
import {
  origin,
  parseAgentIds,
  parseOptional4,
  parseOptional6,
  parseOptionalMs,
  parseOverlay,
  parseRange,
  parseReservedFor,
} from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { sublet } from '#proto/sublet.js';

type Asked = Pick<CallContext, 'caller'>;

export type ChangeCommandsOptions = {
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  /** Ms since 1970. */
  readonly wallClock: () => number;
};

/** Each parses a request. @throws RefusedError for a field that can't be read */
export class ChangeCommands {
  readonly #options: ChangeCommandsOptions;

  constructor(options: ChangeCommandsOptions) {
    this.#options = options;
  }

  #from({ caller }: Asked, { expectedRevision }: { readonly expectedRevision: number }) {
    return origin(caller, expectedRevision, this.#options.wallClock());
  }

  addOverlay(request: sublet.v1.AddOverlayRequest, asked: Asked): Command {
    const overlay = parseOverlay(request.overlay);
    return { ...this.#from(asked, request), kind: 'add-overlay', overlay, source: 'operator' };
  }

  updateOverlay(request: sublet.v1.UpdateOverlayRequest, asked: Asked): Command {
    const { name, enabled, subnet, subnet6 } = request;
    if (request.drain) {
      if ((enabled ?? subnet ?? subnet6 ?? null) !== null) {
        throw new RefusedError('invalid-argument', 'drain: goes alone, without enabled, subnet and subnet6');
      }
      return { ...this.#from(asked, request), kind: 'drain-overlay', name };
    }
    return {
      ...this.#from(asked, request),
      kind: 'update-overlay',
      name,
      enabled: enabled ?? undefined,
      subnet: parseOptional4('subnet', subnet),
      subnet6: parseOptional6('subnet6', subnet6),
    };
  }

  removeOverlay(request: sublet.v1.RemoveOverlayRequest, asked: Asked): Command {
    return { ...this.#from(asked, request), kind: 'remove-overlay', name: request.name };
  }

  updateNetwork(request: sublet.v1.UpdateNetworkRequest, asked: Asked): Command {
    const reclaimMs = parseOptionalMs('reclaim_ms', request.reclaimMs);
    return {
      ...this.#from(asked, request),
      kind: 'update-network',
      vtepSubnet: parseOptional4('vtep_subnet', request.vtepSubnet),
      vtepSubnet6: parseOptional6('vtep_subnet6', request.vtepSubnet6),
      vtepMtu: request.vtepMtu ?? undefined,
      quarantineMs: parseOptionalMs('quarantine_ms', request.quarantineMs),
      reclaim: reclaimMs === undefined ? undefined : { ttlMs: reclaimMs === 0 ? undefined : reclaimMs },
    };
  }

  releaseAgents(request: sublet.v1.ReleaseAgentsRequest, asked: Asked): Command {
    const { plan, office } = this.#options;
    const agentIds = parseAgentIds(request.agentIds);
    const holders = agentIds
      .flatMap((agentId) => plan.ipam.lease(agentId) ?? [])
      .map((lease) => office.presence.judge(lease));
    return { ...this.#from(asked, request), kind: 'release', agentIds, force: request.force, holders };
  }

  replaceAgent(request: sublet.v1.ReplaceAgentRequest, asked: Asked): Command {
    const { plan, office } = this.#options;
    const agentId = parseField('agent_id', request.agentId, parseAgentId);
    const successor = parseField('successor', request.successor, parseAgentId);
    const lease = plan.ipam.lease(agentId);
    const holders = lease === undefined ? [] : [office.presence.judge(lease)];
    return { ...this.#from(asked, request), kind: 'replace-agent', agentId, successor, off: request.off, holders };
  }

  reserve(request: sublet.v1.ReserveRequest, asked: Asked): Command {
    const range = parseRange(request);
    const by = this.#from(asked, request);
    const reservedFor = parseReservedFor(request);
    if (reservedFor === undefined) return { ...by, kind: 'exclude', ...range };
    return { ...by, kind: 'reserve', ...range, ...reservedFor };
  }

  unreserve(request: sublet.v1.UnreserveRequest, asked: Asked): Command {
    const range = parseRange(request);
    const named = formatCidr(range.subnet);
    const isExcluded = this.#options.plan.ipam
      .exclusions()
      .some(({ overlay, subnet }) => overlay === range.overlay && formatCidr(subnet) === named);
    return { ...this.#from(asked, request), kind: isExcluded ? 'unexclude' : 'unreserve', ...range };
  }
}
