/**
 * What a master answers over HTTP: metrics, health, calls of the API in Connect's form, and the two endpoints that scripts
 * made for DC/OS use. It holds nothing of its own.
 */

import type { IncomingMessage, Server } from 'node:http';
import { status } from '@grpc/grpc-js';
import { parseIp } from '#address/ip.js';
import { dcosAgentInfo, dcosNetwork } from '#api/dcos-json.js';
import { RefusedError, refusals } from '#api/refusal.js';
import { operatorService } from '#api/services.js';
import { type AccessRules, accessRefusal } from '#http/access.js';
import {
  boundedServer,
  crossSite,
  type HttpAnswer,
  healthPaths,
  type ServerLimits,
  text,
} from '#http/bounded-server.js';
import { pacedAnswer } from '#http/paced-answer.js';
import type { AgentId } from '#ipam/identity.js';
import type { Ipam } from '#ipam/ipam.js';
import { releasedAtOnceMax } from '#ipam/limits.js';
import type { HttpCallers } from '#master/access/http-callers.js';
import type { PlanPage } from '#master/page/plan-page.js';
import type { Metrics } from '#master/process/metrics.js';
import { agentTargets } from '#master/server/agent-targets.js';
import { ConnectCalls, isMethodPath } from '#master/server/connect-calls.js';
import { parseField, toRefusedError } from '#master/server/refusal-mapping.js';
import { requestBody } from '#master/server/request-body.js';
import type { UnaryCalls } from '#master/server/unary-call.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { agentMessage, networkMessage } from '#master/services/plan-message.js';

export type HttpServerOptions = {
  readonly plan: PlanClient;
  readonly metrics: Pick<Metrics, 'page' | 'contentType'>;
  /** Calls of the API, here or at the leader. */
  readonly calls: Pick<UnaryCalls, 'has' | 'call'>;
  /** Why the master can't serve now; undefined: it can. */
  readonly notReady: () => string | undefined;
  readonly report: (error: unknown) => void;
  /** Names under which it is asked, besides those of loopback and of this machine. */
  readonly hosts: readonly string[];
  readonly limits?: Partial<ServerLimits>;
  readonly access: AccessRules;
  readonly callers: Pick<HttpCallers, 'admit'>;
  /** Absent: there is no page of the plan. */
  readonly page?: Pick<PlanPage, 'routes'>;
};

const bodyBytesMax = 1024 * 1024;
const requestTimeoutMs = 30_000;
/** Agents that are worked out without a break. */
const sliceAgents = 1_000;

type Handler = (request: IncomingMessage) => Promise<HttpAnswer> | HttpAnswer;

export function httpServer(options: HttpServerOptions): Server {
  const { metrics, plan, hosts, limits, calls, access, callers, report } = options;
  const connect = new ConnectCalls({ calls, access, report, admit: (request, path) => callers.admit(request, path) });
  const planState = pacedAnswer(
    () => `${plan.incarnation} ${plan.ipam.revision}`,
    () => state(options),
  );
  const targets = agentTargets(plan);
  const routes = new Map<string, Handler>([
    ['GET /metrics', async () => ({ code: 200, type: metrics.contentType, body: await metrics.page() })],
    ['GET /healthz', () => text(200, 'ok')],
    ['GET /readyz', () => readiness(options)],
    ['GET /overlay-master/state', planState],
    ['GET /sd/agents', (request) => targets(request.url ?? '')],
    ['POST /overlay-master/agents/delete', (request) => crossSite(request) ?? deleteAgents(request, options)],
    ...(options.page?.routes ?? []),
  ]);
  return boundedServer({
    hosts,
    ...(limits && { limits }),
    answer: (request, method, path) => {
      if (isMethodPath(path)) return connect.answer(request, method, path);
      const handler = routes.get(`${method} ${path}`);
      const needed = method === 'GET' ? 'read' : 'change';
      const refused = healthPaths.includes(path) ? undefined : accessRefusal(request, needed, options.access);
      if (refused !== undefined) return refused;
      return handler === undefined ? unknownRoute(method, path, routes) : attempt(handler, request, options.report);
    },
  });
}

async function attempt(
  handler: Handler,
  request: IncomingMessage,
  report: (error: unknown) => void,
): Promise<HttpAnswer> {
  try {
    return await handler(request);
  } catch (error) {
    const refused = toRefusedError(error, report);
    const answer = text(httpCode(refused), refused.message);
    return answer.code === 413 ? { ...answer, headers: { connection: 'close' } } : answer;
  }
}

function unknownRoute(method: string, path: string, routes: ReadonlyMap<string, Handler>): HttpAnswer {
  const methods = [...routes.keys()].filter((key) => key.endsWith(` ${path}`)).map((key) => key.split(' ')[0]);
  if (methods.length > 0) return text(405, `${path} takes ${methods.join(', ')}, not ${method}`);
  const calls = 'POST /sublet.v1.SERVICE/METHOD';
  return text(404, `no ${path} here; there are: ${[...routes.keys(), calls].join(', ')}`);
}

function readiness({ notReady }: HttpServerOptions): HttpAnswer {
  const why = notReady();
  return why === undefined ? text(200, 'ready') : text(503, why);
}

/**
 * The DC/OS `State`, as this master has it: no leader is needed. There an agent is its address, and each address is one
 * agent's: an agent that has lost its own to another is left out, since a lookup of that address would find the wrong
 * subnets.
 */
async function state({ plan }: HttpServerOptions): Promise<HttpAnswer> {
  const { network } = plan;
  const agents: string[] = [];
  for (let last: AgentId | undefined; ; ) {
    const some = plan.ipam.agentsAfter(last, sliceAgents);
    // Texts are joined at the end: one agent is small, and all of them as objects are not.
    for (const agent of some) {
      if (agent.reachable) agents.push(JSON.stringify(dcosAgentInfo(agentMessage(agent, network?.reclaimMs))));
    }
    if (some.length < sliceAgents) break;
    last = some.at(-1)?.agentId;
    await new Promise(setImmediate);
  }
  const head = network === undefined ? '' : `"network":${JSON.stringify(dcosNetwork(networkMessage(network)))},`;
  // As bytes, which slow readers share.
  return jsonBytes(`{${head}"agents":[${agents.join(',')}]}`);
}

/** Agents are named by their node addresses, as in DC/OS; one that is not known is said so, and nothing is done. */
async function deleteAgents(
  request: IncomingMessage,
  { plan, calls, callers }: HttpServerOptions,
): Promise<HttpAnswer> {
  const { path, request: type, response } = operatorService.releaseAgents;
  const caller = callers.admit(request, path);
  const addresses = parseDelete((await requestBody(request, bodyBytesMax)).toString('utf8'));
  const agentIds = addresses.map((address) => agentAt(plan.ipam, address));
  const answer = await calls.call(path, type.encode({ agentIds }).finish(), caller, requestTimeoutMs);
  const { revision, released } = response.decode(answer);
  return json(JSON.stringify({ agents: addresses, revision, released }));
}

function parseDelete(body: string): readonly string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    throw new RefusedError('malformed', `the body is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
  const agents = typeof parsed === 'object' && parsed !== null && 'agents' in parsed ? parsed.agents : undefined;
  if (!Array.isArray(agents) || !agents.every((each) => typeof each === 'string')) {
    const example = '{"agents":["10.0.0.2"]}';
    throw new RefusedError('invalid-argument', `agents: a list of node addresses is expected, as in ${example}`);
  }
  const { length } = agents;
  if (length === 0) throw new RefusedError('invalid-argument', 'agents is empty: name at least one node address');
  if (length > releasedAtOnceMax) {
    throw new RefusedError(
      'invalid-argument',
      `agents has ${length} entries: ${releasedAtOnceMax} at most are allowed`,
    );
  }
  return agents;
}

function agentAt(ipam: Ipam, address: string): AgentId {
  const found = ipam.lookup(parseField('agents', address, parseIp), 0);
  if (found.kind === 'node') return found.agentId;
  throw new RefusedError('not-found', `agents: no agent has the node address ${address}`);
}

function httpCode({ reason }: RefusedError): number {
  if (reason === 'too-large') return 413;
  switch (refusals[reason].code) {
    case status.INVALID_ARGUMENT:
      return 400;
    case status.NOT_FOUND:
      return 404;
    case status.ALREADY_EXISTS:
    case status.ABORTED:
    case status.FAILED_PRECONDITION:
      return 409;
    case status.RESOURCE_EXHAUSTED:
      return 429;
    case status.UNAVAILABLE:
      return 503;
    case status.DEADLINE_EXCEEDED:
      return 504;
    default:
      return 500;
  }
}

function json(body: string): HttpAnswer {
  return { code: 200, type: 'application/json', body };
}

function jsonBytes(body: string): HttpAnswer {
  return { code: 200, type: 'application/json', body: Buffer.from(body) };
}
