/** `sublet import`: takes the network of another system into the plan, so that each host gets exactly what it has had. */
import type { Command } from 'commander';
import { formatIp } from '#address/ip.js';
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { listAgents } from '#cli/agent-list.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { importConflicts, importDiff } from '#cli/import/import-plan.js';
import { blockWords, type OldNetwork, type Reading } from '#cli/import/old-network.js';
import { oldNetworkProblems } from '#cli/import/old-network-check.js';
import type { ConsentOptions } from '#cli/operator/consent.js';
import { type Operator, operate } from '#cli/operator/operator.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { readLivePlan } from '#cli/plan-file/live-plan.js';
import { checkRevision, makeChanges } from '#cli/plan-file/make-changes.js';
import type { LivePlan, PlanDiff } from '#cli/plan-file/plan-changes.js';
import { diffJson, formatDiff } from '#cli/plan-file/plan-text.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { formatPath } from '#config/schema/config-problem.js';
import { sublet } from '#proto/sublet.js';
import { printable } from '#text/printable-text.js';

export type ImportOptions = ConsentOptions & { readonly expectedRevision?: number };

/** What is imported, in words: a file, or an etcd; and the command line that does it again. */
export type ImportSource = { readonly name: string; readonly again: string };

export async function runImport(
  command: Command,
  source: ImportSource,
  read: () => Promise<Reading>,
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const { network: old, problems } = await read();
  const own = old === undefined ? problems : [...problems, ...oldNetworkProblems(old)];
  if (old === undefined || own.length > 0) throw notImportable(source, own);
  await operate(command, terminal, async (operator) => {
    const { client, output } = operator;
    const live = await readLivePlan(client);
    if (!live.network.vtepSubnet) {
      throw new Failure(exitCodes.refused, 'the masters have no network yet; nothing was changed', [
        'It comes from the configuration that they are started with: docs/reference/configuration.md.',
      ]);
    }
    const wanted = {
      diff: (now: LivePlan) => importDiff(now, old),
      expectedRevision: options.expectedRevision ?? 0,
      look: `Look again: ${source.again} --dry-run`,
      goOn: `Run again, it brings about what is left: ${source.again}`,
      mend: `Look what is left: ${source.again} --dry-run`,
    };
    checkRevision(live, wanted);
    const diff = importDiff(live, old);
    const conflicts = [
      ...diff.impossible.map(({ path, message }) => `${formatPath(path)}: ${message}`),
      ...importConflicts(live, old, (await listAgents(client)).agents, await quarantinedOf(client, old)),
    ];
    if (conflicts.length > 0) throw notImportable(source, conflicts);
    const people = forPeople(output);
    if (people || options.dryRun === true) show(operator, live, old, diff, source);
    if (options.dryRun === true) {
      if (people) terminal.write('Nothing was changed: --dry-run.\n');
      return;
    }
    await makeChanges(operator, { live, diff }, wanted, { ...options, already: 'has all of it' });
  });
}

function notImportable({ name }: ImportSource, problems: readonly string[]): Failure {
  const message = `${name} can’t be imported: ${plural(problems.length, 'problem')}; nothing was changed`;
  return new Failure(exitCodes.refused, message, problems.map(printable));
}

/** Those of the blocks that are quarantined; each is looked up, where there are any in its space. */
async function quarantinedOf(client: MasterClient, { hosts }: OldNetwork): Promise<ReadonlySet<string>> {
  const once = { idempotent: true } as const;
  const { overlays, vtep } = await client.call(operatorService.listOverlays, {}, once);
  const resting = new Set(
    [
      { name: '', usage: vtep, usage6: null },
      ...overlays.map(({ overlay, usage, usage6 }) => ({ name: overlay?.name ?? '', usage, usage6 })),
    ]
      .filter(({ usage, usage6 }) => (usage?.quarantined ?? 0) + (usage6?.quarantined ?? 0) > 0)
      .map(({ name }) => name),
  );
  const found = new Set<string>();
  for (const block of hosts.flatMap(({ blocks }) => blocks)) {
    if (!resting.has(block.overlay)) continue;
    const ip = formatIp(block.subnet.address);
    const { blockState } = await client.call(operatorService.lookup, { ip }, once);
    if (blockState === sublet.v1.BlockState.BLOCK_STATE_QUARANTINED) found.add(blockWords(block));
  }
  return found;
}

function show(
  { output, terminal }: Operator,
  live: LivePlan,
  old: OldNetwork,
  diff: PlanDiff,
  { name }: ImportSource,
): void {
  if (!forPeople(output)) {
    writeValue(output, diffJson(live, diff), terminal);
    return;
  }
  const what = `${old.system} of ${name}: ${plural(old.overlays.length, 'overlay')}, ${plural(old.hosts.length, 'host')}.`;
  const tunnel = tunnelRemark(live, old);
  terminal.write(`${wrap(printable(`${what}${tunnel === '' ? '' : ` ${tunnel}`}`), terminal)}\n`);
  terminal.write(formatDiff(diff, name, terminal));
}

/** Whether the tunnel devices of both can be on a host at the same time. */
function tunnelRemark({ network }: LivePlan, { system, tunnel }: OldNetwork): string {
  if (tunnel === undefined) return '';
  const { vni = 0, vtepName = '', vxlanPort = 0 } = network;
  const { name = vtepName, port = vxlanPort } = tunnel;
  const apart = name !== vtepName && (tunnel.vni !== vni || port !== vxlanPort);
  const own = `${vtepName} (VNI ${vni}, port ${vxlanPort})`;
  if (apart) return `Its tunnel device ${name} (VNI ${tunnel.vni}) can be on a host beside ${own}.`;
  return `Its tunnel device ${name} (VNI ${tunnel.vni}) can’t be on a host beside ${own}: where Sublet’s agent runs, ${system} does not.`;
}
