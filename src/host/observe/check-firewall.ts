/**
 * The firewall of a host before an agent starts: whether the kernel takes the rules that Sublet needs, tried in a
 * namespace that is gone with the try, and whether a foreign firewall would drop what the overlays send.
 */
import type { Family } from '#address/ip.js';
import { type Drop, forwardDrops, type TunnelQuestion, tunnelDrops } from '#host/desired/blackholes.js';
import { forwardChain } from '#host/desired/marks.js';
import { FilterReader } from '#host/filter/filter-reader.js';
import type { FilterTable } from '#host/filter/filter-table.js';
import type { HostCheck } from '#host/host-check.js';
import type { CheckFinding } from '#host/host-status.js';
import type { HostSettings } from '#host/input.js';
import { iptablesCommand, type SavedTables, saveTables, traitsOf } from '#host/observe/observe-firewall.js';
import { observeLinks } from '#host/observe/observe-kernel.js';
import type { ObservedLink } from '#host/observe/observed.js';
import { moduleRemedy, modulesOf } from '#host/tools/kernel-modules.js';
import type { Runner } from '#host/tools/runner.js';
import { addressOf } from '#host/tools/text.js';

type Found = Omit<CheckFinding, 'what'>;

/** One try for each thing that a kernel may lack, so that it is named. */
export async function checkFirewallRules(run: Runner, { iptables, enableIpv6, guard }: HostSettings): Promise<Found[]> {
  const families = enableIpv6 ? ([4, 6] as const) : ([4] as const);
  const tries = families.flatMap((family): RuleTry[] => {
    const command = iptablesCommand(iptables, family);
    const set = `ipset create probe hash:net family ${family === 4 ? 'inet' : 'inet6'} comment`;
    return [
      {
        what: `${command} -m comment`,
        line: `${command} -A FORWARD -m comment --comment probe -j ACCEPT`,
        modules: modulesOf.comment,
      },
      {
        what: `${command} -m set`,
        line: `${set} && ${command} -t nat -A POSTROUTING -m set --match-set probe dst -j ACCEPT`,
        modules: [...modulesOf.ipset, ...modulesOf.set],
      },
      {
        what: `${command} -j MASQUERADE`,
        line: `${command} -t nat -A POSTROUTING -j MASQUERADE`,
        modules: modulesOf.masquerade,
      },
      ...(guard === false ? [] : [guardTry(command, family)]),
    ];
  });
  const found = await Promise.all(
    tries.map(async ({ what, line, modules, severity }): Promise<Found | undefined> => {
      const { code, stderr } = await run.run('unshare', ['--net', 'sh', '-c', line]);
      if (code === 0) return undefined;
      if (/unshare.*Operation not permitted/.test(stderr)) {
        return { severity: 'warning', says: 'can not tell without CAP_SYS_ADMIN whether the kernel takes our rules' };
      }
      const says = `the kernel does not take "${what}": ${stderr.trim().replace(/\s*\n\s*/g, '; ')}`;
      return { severity: severity ?? 'error', says, todo: moduleRemedy(modules) };
    }),
  );
  const wrong = uniqueFindings(found.filter((one) => one !== undefined));
  return wrong.length > 0
    ? wrong
    : [{ severity: 'ok', says: 'the kernel takes rules with comment, set and MASQUERADE' }];
}

type RuleTry = {
  readonly what: string;
  /** For `sh`. */
  readonly line: string;
  readonly modules: readonly string[];
  readonly severity?: 'warning';
};

/** The guard's rule; without it overlays work. */
function guardTry(command: string, family: Family): RuleTry {
  const set = `ipset create probe hash:ip family ${family === 4 ? 'inet' : 'inet6'}`;
  const rule = '-p udp --dport 1 -m addrtype --dst-type LOCAL -m set ! --match-set probe src -j DROP';
  return {
    what: `${command} -t raw -m addrtype -m set`,
    line: `${set} && ${command} -t raw -A PREROUTING ${rule}`,
    modules: modulesOf.guard,
    severity: 'warning',
  };
}

function uniqueFindings(found: readonly Found[]): Found[] {
  return [...new Map(found.map((one) => [one.says, one])).values()];
}

/** A device of an overlay, of either half, whose name is not known before the masters are asked. */
const anyBridge = 'm-*';

/** Texts for people say `m-OVERLAY` for such a device. */
function readable({ says, todo, certain }: Drop): Drop {
  const name = (text: string) => text.replaceAll(anyBridge, 'm-OVERLAY');
  return { says: name(says), todo: name(todo), certain };
}

/** Whether the tunnel's packets come in and go out, and whether what is forwarded passes. */
export async function checkPacketFilters(run: Runner, check: HostCheck): Promise<Found[]> {
  const { settings, port, vtepName, containers } = check;
  const [links, saves] = await Promise.all([observeLinks(run), saveTables(run, settings.iptables)]);
  const { tables, unread } = await new FilterReader(run).read(settings.iptables, saves);
  const question = tunnelQuestion([...links.values()], check, tables);
  const { isNft } = await traitsOf(run, settings.iptables);
  const later = tables.map((table) => withOurJump(table, settings, isNft));
  const families = settings.enableIpv6 ? ([4, 6] as const) : ([4] as const);
  const forwards = containers.cni || containers.docker;
  const drops: Drop[] = [
    ...(question === undefined ? [] : tunnelDrops(question)),
    ...(forwards ? families.flatMap((family) => forwardDrops(later, vtepName, anyBridge, family).map(readable)) : []),
  ];
  const found = drops.map(
    ({ says, todo, certain }): Found => ({ severity: certain ? 'error' : 'warning', says, todo }),
  );
  const blind = unread.map((why): Found => ({ severity: 'warning', says: `nftables can not be read: ${why}` }));
  // The agent compares what it reads there, and fails the overlays of the family where it can't.
  if (forwards) blind.push(...families.flatMap((family) => unsavedFinding(saves[family])));
  if (found.length + blind.length > 0) return uniqueFindings([...found, ...blind]);
  const says = `no firewall drops UDP port ${port}${forwards ? ' or what is forwarded by the tunnel' : ''}`;
  return [{ severity: 'ok', says }];
}

function unsavedFinding(saved: SavedTables[Family]): Found[] {
  return saved.kind === 'unreadable' ? [{ severity: 'error', says: saved.error }] : [];
}

/** Peers are taken to be in the network of the node's address; where that is not given, of the first device with one. */
function tunnelQuestion(
  links: readonly ObservedLink[],
  { nodeIp, port, vtepName }: HostCheck,
  tables: readonly FilterTable[],
): TunnelQuestion | undefined {
  const isOwn = (cidr: string) =>
    nodeIp === undefined ? !/^(127|169\.254)\.|^(::1|fe80:)/.test(cidr) : addressOf(cidr) === nodeIp;
  const isUnderlay = ({ name, kind, up }: ObservedLink) =>
    up && name !== vtepName && (nodeIp !== undefined || kind !== 'bridge');
  for (const link of links.filter(isUnderlay)) {
    const cidr = link.addresses.find(isOwn);
    if (cidr !== undefined) return { tables, underlay: link.name, local: addressOf(cidr), port, peer: cidr };
  }
  return undefined;
}

/** The agent puts its jump before all else in FORWARD of the iptables that it uses, so nothing there is in its way. */
function withOurJump(table: FilterTable, { iptables }: HostSettings, isNft: boolean): FilterTable {
  const { tool, name, family } = table;
  const own = iptablesCommand(iptables, family === 'ip6' ? 6 : 4);
  const isOurs = tool.kind === 'iptables' ? tool.command === own : isNft && family !== 'inet';
  const forward = table.chains.get('FORWARD');
  if (name !== 'filter' || !isOurs || forward === undefined || table.chains.has(forwardChain)) return table;
  const chains = new Map(table.chains);
  chains.delete('FORWARD');
  return { ...table, chains };
}
