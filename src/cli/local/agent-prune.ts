/** `sublet agent prune`: frees the addresses of containers that are gone and that no engine gives back. */
import type { Command } from 'commander';
import { z } from 'zod';
import { argument, exitCodes, Failure } from '#cli/failure.js';
import { agentAnswer } from '#cli/local/agent-local.js';
import { type ConsentOptions, consented } from '#cli/operator/consent.js';
import type { Form } from '#cli/output/form.js';
import { loadConfig } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { agentSettings } from '#config/agent-settings.js';
import { loadAgentConfig } from '#config/files/agent-config.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import {
  type DeadReservation,
  deadReservations,
  freeDead,
  type ReservedNetwork,
  reservedNetworks,
} from '#host/apply/reservations.js';
import { processRunner, type Runner } from '#host/tools/runner.js';

const bridgeSchema = z.object({ name: z.string(), ip: z.string().default(''), ip6: z.string().default('') });
/** The part of /status that says which ranges this host has. */
const statusSchema = z.object({
  lease: z
    .object({ overlays: z.array(z.object({ name: z.string(), mesosBridge: bridgeSchema.optional() })) })
    .nullable(),
});

export type PruneOptions = ConsentOptions & { readonly http: string };

/** Reservations of one overlay that no container has; undefined: not all namespaces can be seen. */
export type DeadOfNetwork = {
  readonly network: ReservedNetwork;
  readonly dead: readonly DeadReservation[] | undefined;
};

/** @throws Failure when no agent answers, it has no lease, or this user can't see the namespaces of all containers */
export async function pruneAddresses(
  command: Command,
  options: PruneOptions,
  output: Form,
  terminal: Terminal,
): Promise<void> {
  const { config } = loadConfig(command, agentSettings, loadAgentConfig);
  const found = await findDead(await networksAt(options.http, config.cniDataDir), terminal.now(), processRunner);
  if (found.some(({ dead }) => dead === undefined)) {
    throw new Failure(exitCodes.refused, 'not all network namespaces of this host can be seen', [
      'Run it as root on the host itself, not in a container: an address that is in use there would be taken for a free one.',
    ]);
  }
  const all = found.flatMap(({ dead }) => dead ?? []);
  const [first, ...others] = all.map(deadWords);
  if (first === undefined) {
    terminal.write('Every reserved address is of a container that is there, or was reserved within 10 minutes.\n');
    return;
  }
  if (!(await consented({ terminal, output }, options, async () => [first, ...others]))) return;
  let freed = 0;
  for (const { network, dead } of found) freed += await freeDead(network, dead ?? [], processRunner);
  terminal.write(`Freed ${freed === 1 ? '1 address' : `${freed} addresses`}.\n`);
}

export async function findDead(
  networks: readonly ReservedNetwork[],
  nowMs: number,
  run: Runner,
): Promise<readonly DeadOfNetwork[]> {
  const found: DeadOfNetwork[] = [];
  for (const network of networks) found.push({ network, dead: await deadReservations(network, nowMs, run) });
  return found;
}

/** The networks of the lease that the agent on this host has. @throws Failure */
export async function networksAt(http: string, cniDataDir: string | undefined): Promise<readonly ReservedNetwork[]> {
  const at = formatHostPort(argument('--http', http, parseHostPort));
  const { lease } = statusSchema.parse(await agentAnswer(at));
  if (lease === null) {
    throw new Failure(exitCodes.refused, `the agent at ${at} has no lease: it has no range to look at`);
  }
  const overlays = lease.overlays.map(({ name, mesosBridge }) => {
    if (mesosBridge === undefined) return { name };
    const { name: bridge, ip, ip6 } = mesosBridge;
    return { name, mesosBridge: { name: bridge, ...(ip && { cidr: ip }), ...(ip6 && { cidr6: ip6 }) } };
  });
  return reservedNetworks(overlays, cniDataDir);
}

function deadWords({ path, owner }: DeadReservation): string {
  return `${path} is freed: no network namespace has the address${owner === '' ? '' : ` (of ${owner})`}`;
}
