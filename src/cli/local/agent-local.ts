/** What the agent on this host says of itself over HTTP. */

import { z } from 'zod';
import { argument, exitCodes, Failure } from '#cli/failure.js';
import { getLocal } from '#cli/local/local-http.js';
import { shortReason } from '#cli/operator/refusal-words.js';
import { type Form, forPeople, plainJson, writeValue } from '#cli/output/form.js';
import { type Cell, formatFacts, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import { errorText } from '#errors/unknown-error.js';
import { formatDuration } from '#text/duration.js';

const timeoutMs = 5_000;
const httpOk = 200;

/** What is shown of /status; there is more in it. */
const statusSchema = z.object({
  agent_id: z.string(),
  network_mode: z.string(),
  master: z.string(),
  registration: z.object({ state: z.string(), error: z.string().optional(), next_in_ms: z.number().optional() }),
  lease: z
    .object({
      source: z.string(),
      valid: z.boolean(),
      ttl_left_ms: z.number().nullable(),
      cluster_id: z.string(),
      epoch: z.number(),
      node_ip: z.string(),
      vxlan: z.object({ vtepIp: z.string(), vtepMac: z.string() }),
      overlays: z.array(z.object({ name: z.string(), subnet: z.string().optional(), subnet6: z.string().optional() })),
    })
    .nullable(),
  certificate: z.object({ identity: z.string(), ends: z.string(), age: z.string() }).nullish(),
  watch: z.object({
    connected: z.boolean(),
    revision: z.number(),
    peers: z.number(),
    last_error: z.string().default(''),
  }),
  host: z.object({
    overlays: z.array(z.object({ kind: z.string(), name: z.string(), error: z.string().optional() })),
    converged: z.boolean(),
    problems: z.array(z.string()).default([]),
  }),
  addresses: z
    .array(
      z.object({
        overlay: z.string(),
        bridge: z.string(),
        family: z.number(),
        range: z.string(),
        size: z.number().optional(),
        used: z.number(),
      }),
    )
    .default([]),
  ready: z.boolean(),
  problems: z.array(z.string()),
});
type AgentStatus = z.infer<typeof statusSchema>;

/** What the agent on this host says of itself. @throws Failure when none answers there */
export async function askAgent(http: string): Promise<AgentStatus> {
  const at = formatHostPort(argument('--http', http, parseHostPort));
  return statusOf(await fetchJson(`http://${at}/status`, at), at);
}

/** All that the agent at HOST:PORT says of itself. @throws Failure when none answers there */
export function agentAnswer(at: string): Promise<unknown> {
  return fetchJson(`http://${at}/status`, at);
}

/** @throws Failure when no agent answers there */
export async function showAgentStatus(http: string, output: Form, terminal: Terminal): Promise<void> {
  const at = formatHostPort(argument('--http', http, parseHostPort));
  const body = await fetchJson(`http://${at}/status`, at);
  if (forPeople(output)) terminal.write(formatAgentStatus(statusOf(body, at), terminal));
  else writeValue(output, plainJson(body), terminal);
}

function statusOf(body: unknown, at: string): AgentStatus {
  const parsed = statusSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new Failure(exitCodes.refused, `what answers at ${at} is not an agent of this version`, [
    '-o json shows what it says.',
  ]);
}

async function fetchJson(url: string, at: string): Promise<unknown> {
  try {
    const { status, text } = await getLocal(url, timeoutMs);
    const body: unknown = JSON.parse(text);
    if (status === httpOk) return body;
    throw new Failure(exitCodes.refused, `${url} answers with status ${status}`);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(exitCodes.refused, `no agent answers at ${at}: ${errorText(error)}`, [
      'Is it running? Its address is http_listen in its configuration; say --http HOST:PORT for another one.',
    ]);
  }
}

export function formatAgentStatus(status: AgentStatus, terminal: Terminal): string {
  const { lease, registration, host, certificate } = status;
  const facts: readonly (readonly [string, Cell])[] = [
    ['agent', { text: status.agent_id, style: 'bold' }],
    ['ready', status.ready ? { text: 'yes', style: 'green' } : { text: 'no', style: 'red' }],
    ['master', status.master],
    [
      'registration',
      registration.error === undefined ? registration.state : `${registration.state}: ${registration.error}`,
    ],
    ['lease', lease === null ? 'none' : leaseWords(lease)],
    ...(lease === null
      ? []
      : ([
          ['node ip', lease.node_ip],
          ['vtep', `${lease.vxlan.vtepIp}, ${lease.vxlan.vtepMac}`],
        ] as const)),
    ['peers', peersWords(status)],
    ...(certificate ? ([['certificate', certificateWords(certificate)]] as const) : []),
    ['network', networkWords(status)],
  ];
  const rows = (lease?.overlays ?? []).map(({ name, subnet, subnet6 }): readonly Cell[] => {
    const found = host.overlays.find((overlay) => overlay.name === name);
    const subnets = [subnet, subnet6].filter(Boolean).join(' ');
    const used = status.addresses.filter(({ overlay }) => overlay === name).map(usedWords);
    return [name, subnets || '-', found === undefined ? '-' : found.kind, used.join(', ') || '-'];
  });
  const table =
    rows.length === 0
      ? ''
      : `\n${formatTable([{ title: 'OVERLAY' }, { title: 'SUBNET' }, { title: 'ON THE HOST' }, { title: 'IN USE' }], rows, terminal)}`;
  const problems = status.problems.map((problem) => `${terminal.paint('yellow', '!')} ${problem}\n`).join('');
  return formatFacts(facts, terminal) + table + (problems === '' ? '' : `\n${problems}`);
}

/** `m-dcos 12 of 125` */
function usedWords({ bridge, size, used, family }: AgentStatus['addresses'][number]): string {
  return size === undefined ? `${bridge} ${used} (IPv${family})` : `${bridge} ${used} of ${size}`;
}

function leaseWords(lease: NonNullable<AgentStatus['lease']>): string {
  const { epoch, cluster_id: cluster, source, valid, ttl_left_ms: left } = lease;
  const end = left === null ? 'until it is released' : valid ? `${formatDuration(left, 2)} left` : 'ended';
  return `epoch ${epoch} of cluster ${cluster}, ${end}${source === 'cache' ? ', from the cache' : ''}`;
}

function certificateWords({ identity, ends, age }: NonNullable<AgentStatus['certificate']>): string {
  return age === 'ended' ? `${identity}, ended ${ends}` : `${identity}, valid to ${ends}`;
}

function peersWords({ lease, registration, watch }: AgentStatus): string {
  const { peers, revision, connected, last_error: error } = watch;
  // The watch begins with the first lease; until then it tells nothing of the masters.
  if (lease === null) return 'not known before the first lease';
  const known = `${peers}, as of revision ${revision}`;
  if (connected) return known;
  if (registration.state === 'refused') return `${known} (the masters refuse this agent)`;
  return `${known} (no master is heard${error ? `: ${shortReason(error)}` : ''})`;
}

function networkWords({ lease, network_mode: mode, host }: AgentStatus): string {
  if (mode === 'plan') return 'plan: nothing is changed on this host';
  if (lease === null) return 'linux: nothing is changed before the first lease';
  const failed = host.overlays.filter(({ kind }) => kind === 'failed').length;
  if (failed > 0) return `linux: ${failed} of ${plural(host.overlays.length, 'overlay')} failed`;
  if (host.problems.length > 0) return `linux: ${plural(host.problems.length, 'problem')} of this host`;
  return host.converged ? 'linux: this host is as it should be' : 'linux: this host is being changed';
}
