/**
 * AgentService's unary calls: register, report status, leave. All are carried out by the leader, which alone can judge
 * which agents are silent.
 */
import { Writer } from 'protobufjs/minimal.js';
import { type Method, methodName, toBuffer } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import type { ReportStatus } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import { overlaysMax } from '#ipam/limits.js';
import { clippedStatusError } from '#ipam/registration-fields.js';
import { type AgentThen, viewAgent } from '#ipam/view/agent-view.js';
import type { OverlayStatus } from '#ipam/view/full-agent.js';
import { checkSelf } from '#master/access/authorization.js';
import { checkNodeAddress, type NodeAddressRules } from '#master/access/node-address-check.js';
import type { HistoryGuard } from '#master/leader/history-guard.js';
import { checkIncarnation } from '#master/leader/incarnation-check.js';
import type { LeaseKeeper } from '#master/leases/lease-keeper.js';
import { type CallContext, type Endpoint, encodingEndpoint, endpoint } from '#master/server/endpoint.js';
import { parseField, parseOverlayName, safeInteger } from '#master/server/refusal-mapping.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { PlanEncoding } from '#master/services/plan-encoding.js';
import { agentMessage, leaseMessage } from '#master/services/plan-message.js';
import { parseRegister } from '#master/services/register-request.js';
import { sublet } from '#proto/sublet.js';
import { formatCaller } from '#tls/caller.js';

const { OverlayStatus: Status, RegisterResponse } = sublet.v1;

export type AgentServiceOptions = {
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  readonly encoding: PlanEncoding;
  readonly guard: HistoryGuard;
  /** Why nothing can be granted now; undefined: it can. */
  readonly mayGrant: () => RefusedError | undefined;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** Absent: any that hosts can have. */
  readonly nodeAddresses?: NodeAddressRules;
};

/** The plan knows a repetition of each of these, and answers it as it answered the first. */
const atLeader = { place: 'leader', idempotent: true } as const;

export function agentEndpoints(options: AgentServiceOptions): readonly Endpoint[] {
  return [
    encodingEndpoint(agentService.register, atLeader, (request, context) => register(request, context, options)),
    ownEndpoint(agentService.reportStatus, (request) => reportStatus(request, options)),
    ownEndpoint(agentService.leave, (request, context) => leave(request, context, options)),
    ownEndpoint(agentService.returnOverlays, (request) => returnOverlays(request, options)),
  ];
}

/** Of an agent, for itself. */
function ownEndpoint<
  Request,
  RequestDecoded extends Request & { readonly agentId: string },
  Response,
  ResponseDecoded extends Response,
>(
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  handle: (request: RequestDecoded, context: CallContext) => Promise<Response>,
): Endpoint {
  return endpoint(method, atLeader, (request, context) => {
    checkSelf(methodName(method.path), context.caller.principal, request.agentId);
    return handle(request, context);
  });
}

async function register(
  request: sublet.v1.RegisterRequest,
  context: CallContext,
  options: AgentServiceOptions,
): Promise<Uint8Array> {
  const { plan, office, guard, mayGrant, wallClock } = options;
  const parsed = parseRegister(request);
  const action = `register agent_id "${parsed.agentId}"`;
  checkSelf(action, context.caller.principal, parsed.agentId);
  const { nodeAddresses } = options;
  if (nodeAddresses !== undefined) checkNodeAddress(action, parsed.nodeIp, context.caller, nodeAddresses);
  const { held } = parsed;
  await guard.checkOther(parsed.agentId, request.held ?? {});
  checkIncarnation(action, request.held ?? {}, plan);
  const heldUnconfirmed = held !== undefined && (await guard.isUnconfirmed(parsed.agentId, request.held ?? {}, held));
  const refusal = mayGrant();
  if (refusal !== undefined) throw refusal;
  const { ipam } = plan;
  const { runId } = parsed;
  const sender = {
    runId,
    connection: formatCaller(context.caller),
  };
  const lease = ipam.lease(parsed.agentId);
  const { nodeIp, sequence } = parsed;
  const own = lease?.instanceId === parsed.instanceId ? lease : undefined;
  const decided =
    own === undefined
      ? office.processes.arriving(parsed.agentId, runId)
      : office.processes.admit(own, { ...sender, nodeIp, sequence });
  if (own !== undefined) office.left.asked(own, nodeIp);
  try {
    // What was parsed is new and not shared, so it is added to rather than copied.
    const command = Object.assign(parsed, {
      // What the log confirms need not be replicated again.
      held: ipam.adoption || heldUnconfirmed ? held : undefined,
      heldUnconfirmed,
      holders: ipam.holdersConcerned(parsed).map((holder) => office.judge(holder, parsed)),
      wallTime: wallClock(),
      by: '',
    });
    const answer = await office.registering(parsed.agentId, parsed.instanceId, () => plan.change(command));
    if (answer.kind !== 'registered') throw new RangeError(`a registration was answered with "${answer.kind}"`);
    office.processes.registered(answer.agent.record, sender, answer.revision);
    return registered(answer.agent, answer.revision, options);
  } finally {
    decided();
  }
}

/** The field of RegisterResponse that is written here as ready bytes, with its wire type. */
const networkField = (3 << 3) | 2;

/**
 * The response; the network's bytes are the same for all. It is the network of that revision, not a newer one: from it
 * the agent sees what it asked for in vain, and what came later.
 */
function registered(then: AgentThen, revision: number, { plan, encoding }: AgentServiceOptions): Uint8Array {
  const { network } = then;
  const agent = viewAgent(then);
  const writer = Writer.create();
  writer.uint32(networkField).bytes(encoding.network(network));
  const rest: sublet.v1.RegisterResponse.$Properties = {
    // The caller has proved it already.
    agent: { ...agentMessage(agent, network.reclaimMs), instanceId: agent.instanceId },
    lease: leaseMessage(agent, network.reclaimMs),
    problems: agent.problems.map(({ overlay, message }) => ({ overlay, reason: message })),
    revision,
    clusterId: plan.clusterId,
    incarnation: plan.incarnation,
    branch: plan.ipam.branchAt(revision),
  };
  return toBuffer(RegisterResponse.encode(rest, writer).finish());
}

async function reportStatus(
  request: sublet.v1.ReportStatusRequest,
  { plan, guard, wallClock }: AgentServiceOptions,
): Promise<sublet.v1.ReportStatusResponse.$Properties> {
  const agentId = parseField('agent_id', request.agentId, parseAgentId);
  const instanceId = parseField('instance_id', request.instanceId, parseInstanceId);
  const epoch = safeInteger('epoch', request.epoch);
  await guard.checkOther(agentId, request);
  checkIncarnation(`report status of agent_id "${agentId}"`, request, plan);
  await guard.check(agentId, request);
  checkInstance('report status', plan, agentId, instanceId);
  const overlays = parseReports(request.overlays);
  const { revision } = await plan.change({
    kind: 'report-status',
    agentId,
    epoch,
    overlays,
    wallTime: wallClock(),
    by: '',
  });
  return { revision };
}

async function leave(
  request: sublet.v1.LeaveRequest,
  { caller }: CallContext,
  { plan, office, guard, wallClock }: AgentServiceOptions,
): Promise<sublet.v1.LeaveResponse.$Properties> {
  const agentId = parseField('agent_id', request.agentId, parseAgentId);
  const instanceId = parseField('instance_id', request.instanceId, parseInstanceId);
  const epoch = safeInteger('epoch', request.epoch);
  checkIncarnation(`leave of agent_id "${agentId}"`, request, plan);
  await guard.check(agentId, request);
  checkInstance('leave', plan, agentId, instanceId);
  const lease = plan.ipam.lease(agentId);
  const runId = request.runId === '' ? undefined : parseField('run_id', request.runId, parseRunId);
  if (lease?.epoch === epoch && runId !== undefined) {
    office.processes.leave(lease, { runId, connection: formatCaller(caller) });
  }
  const { revision } = await plan.change({ kind: 'leave', agentId, epoch, wallTime: wallClock(), by: '' });
  return { revision };
}

async function returnOverlays(
  request: sublet.v1.ReturnOverlaysRequest,
  { plan, wallClock }: AgentServiceOptions,
): Promise<sublet.v1.ReturnOverlaysResponse.$Properties> {
  const agentId = parseField('agent_id', request.agentId, parseAgentId);
  const instanceId = parseField('instance_id', request.instanceId, parseInstanceId);
  const epoch = safeInteger('epoch', request.epoch);
  const action = 'return overlays';
  checkIncarnation(`${action} of agent_id "${agentId}"`, request, plan);
  checkInstance(action, plan, agentId, instanceId);
  const { overlays } = request;
  if (overlays.length === 0 || overlays.length > overlaysMax) {
    throw new RefusedError('invalid-argument', `overlays: ${overlays.length} names: 1 to ${overlaysMax} are allowed`);
  }
  for (const name of overlays) parseOverlayName('overlays', name);
  const command = { kind: 'return-overlays', agentId, epoch, overlays, wallTime: wallClock(), by: '' } as const;
  const { revision } = await plan.change(command);
  return { revision };
}

/** The epoch fences the call in the plan; the instance only makes the message better when a host was reinstalled. */
function checkInstance(
  action: string,
  { ipam }: PlanClient,
  agentId: ReturnType<typeof parseAgentId>,
  instanceId: string,
): void {
  const lease = ipam.lease(agentId);
  if (lease === undefined || lease.instanceId === instanceId) return;
  throw new RefusedError(
    'aborted',
    `${action}: agent_id "${agentId}" is held by another instance now, not by "${instanceId}"`,
  );
}

function parseReports(reports: readonly sublet.v1.OverlayReport.$Properties[]): ReportStatus['overlays'] {
  if (reports.length > overlaysMax) {
    throw new RefusedError(
      'invalid-argument',
      `overlays has ${reports.length} entries: ${overlaysMax} at most are allowed`,
    );
  }
  return reports.map(({ overlay, state }) => ({
    overlay: parseOverlayName('overlays.overlay', overlay ?? ''),
    status: parseStatus(state?.status ?? Status.OVERLAY_STATUS_UNSPECIFIED),
    error: clippedStatusError(state?.error ?? ''),
  }));
}

function parseStatus(status: sublet.v1.OverlayStatus): OverlayStatus {
  switch (status) {
    case Status.OVERLAY_STATUS_OK:
      return 'ok';
    case Status.OVERLAY_STATUS_FAILED:
      return 'failed';
    case Status.OVERLAY_STATUS_CONFIGURING:
      return 'configuring';
    case Status.OVERLAY_STATUS_PLANNED:
      return 'planned';
    default:
      throw new RefusedError(
        'invalid-argument',
        `overlays.state.status is ${status}: OK, FAILED, CONFIGURING or PLANNED is allowed`,
      );
  }
}
