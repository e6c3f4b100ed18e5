/** What `sublet config check` says of a file: whose configuration it is, what it means, or what is wrong with it. */
import { formatCidr } from '#address/ip.js';
import { formatMac } from '#address/mac.js';
import { exitCodes, usage } from '#cli/failure.js';
import { readConfigFile } from '#cli/local/config-file.js';
import { orFailure } from '#cli/process/process-config.js';
import { type Cell, formatFacts } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { type AgentConfig, loadAgentConfig } from '#config/files/agent-config.js';
import { loadMasterConfig, type MasterConfig } from '#config/files/master-config.js';
import type { NetworkSection } from '#config/files/network-config.js';
import { formatHostPort } from '#config/host-port.js';
import { type ConfigProblem, formatProblem } from '#config/schema/config-problem.js';
import { type ConfigKind, configKind } from '#config/schema/kind.js';
import type { Overlay } from '#ipam/network.js';
import { formatDuration } from '#text/duration.js';

/** @throws Failure when the file can't be used */
export function checkConfig(file: string, wanted: ConfigKind | undefined, terminal: Terminal): void {
  const source = { file: readConfigFile(file, exitCodes.refused) };
  const kindOrCause = wanted ?? configKind(source.file.text);
  // What is not JSON is wrong in either; reading it says where.
  const kind = kindOrCause === 'no-json' ? 'master' : kindOrCause;
  if (kind === undefined) {
    throw usage(
      `${source.file.name}: its keys are of neither a master nor an agent: say --kind master or --kind agent`,
    );
  }
  const loaded = orFailure(source.file.name, exitCodes.refused, () =>
    kind === 'master'
      ? described(loadMasterConfig(source), masterFacts)
      : described(loadAgentConfig(source), agentFacts),
  );
  terminal.write(
    `${terminal.paint('green', 'ok')}  ${source.file.name} is the configuration of ${kind === 'master' ? 'a master' : 'an agent'}.\n\n`,
  );
  terminal.write(formatFacts(loaded.facts, terminal));
  for (const warning of loaded.warnings) {
    terminal.write(`${terminal.paint('yellow', '!')} ${formatProblem(warning)}\n`);
  }
}

type Facts = readonly (readonly [string, Cell])[];

function described<Config>(
  { config, warnings }: { readonly config: Config; readonly warnings: readonly ConfigProblem[] },
  facts: (config: Config) => Facts,
): { readonly facts: Facts; readonly warnings: readonly ConfigProblem[] } {
  return { facts: facts(config), warnings };
}

function masterFacts(config: MasterConfig): Facts {
  const { cluster, raft, network } = config;
  return [
    ['name', config.name],
    ['data', config.dataDir],
    ['api', formatHostPort(config.listen)],
    ['peers', formatHostPort(config.peerListen)],
    ['http', formatHostPort(config.httpListen)],
    ['cluster', cluster.id],
    clusterFact(cluster),
    ...networkFacts(network),
    [
      'raft',
      `heartbeat ${formatDuration(raft.heartbeatMs)}, election ${formatDuration(raft.electionMs)}, ${raft.retainEntries} entries kept`,
    ],
  ];
}

/** The members that bootstrap the cluster, or the masters of the one to join. */
function clusterFact({ members, join }: MasterConfig['cluster']): readonly [string, Cell] {
  if (join.length > 0) return ['joins', join.map(formatHostPort).join(', ')];
  return ['members', members.map(({ name, peer }) => `${name} at ${formatHostPort(peer)}`).join(', ')];
}

function networkFacts({ settings, overlays }: NetworkSection): Facts {
  const { vtepSubnet, vtepSubnet6, vtepMacOui, vtepMtu, vni, vxlanPort, reclaimMs, quarantineMs } = settings;
  const vtep = [vtepSubnet, vtepSubnet6].flatMap((subnet) => (subnet === undefined ? [] : [formatCidr(subnet)]));
  const mtu = vtepMtu === 0 ? '' : `, MTU ${vtepMtu}`;
  const reclaim =
    reclaimMs === undefined ? 'last until they are released' : `end after ${formatDuration(reclaimMs)} of silence`;
  return [
    ['vteps', `${vtep.join(' and ')}, MAC ${formatMac(vtepMacOui)}, VNI ${vni}, UDP port ${vxlanPort}${mtu}`],
    ...(overlays ?? []).map((overlay) => ['overlay', describe(overlay)] as const),
    ...(overlays?.length ? [] : [['overlays', 'none: add one with `sublet overlay add`'] as const]),
    ['leases', `${reclaim}; quarantine ${formatDuration(quarantineMs)}`],
  ];
}

function describe({ name, v4, v6, enabled }: Overlay): string {
  const spaces = [v4, v6].flatMap((space) => (space ? [`${formatCidr(space.subnet)} in /${space.prefix}s`] : []));
  return `${name}: ${spaces.join(' and ')}${enabled ? '' : ', disabled'}`;
}

function guardFact({ guard, guardExcept }: AgentConfig): string {
  if (!guard) return 'off: the underlay may send into overlays';
  return guardExcept.length === 0 ? 'on' : `on, except for ${guardExcept.join(', ')}`;
}

function agentFacts(config: AgentConfig): Facts {
  const { networkConfig } = config;
  const wanted = [
    networkConfig.allocateSubnet ? 'subnets' : 'no subnets',
    networkConfig.mesosBridge ? 'm- bridges' : 'no m- bridges',
    networkConfig.dockerBridge ? 'd- bridges' : 'no d- bridges',
    ...(networkConfig.split ? [] : ['whole subnets']),
    ...(config.bridges === 'now' ? ['bridges at once'] : []),
    networkConfig.enableIpv6 ? 'IPv6' : 'no IPv6',
    `MTU ${networkConfig.overlayMtu}`,
  ];
  return [
    ['id', config.id ?? 'the host name'],
    ['node ip', config.nodeIp ?? 'the source address of the route to the masters'],
    ['masters', config.masters.map(formatHostPort).join(', ')],
    ['state', config.stateDir],
    ['http', formatHostPort(config.httpListen)],
    ...(config.httpsListen === undefined ? [] : [['https', formatHostPort(config.httpsListen)] as const]),
    ['network', config.network === 'plan' ? 'plan: changes nothing on this host' : 'linux'],
    ['wants', wanted.join(', ')],
    ['guard', guardFact(config)],
    ...(config.onChange.length === 0 ? [] : [['on change', config.onChange.join(' ')] as const]),
    ...(config.runFiles.runDir === undefined ? [] : [['run files', config.runFiles.runDir] as const]),
    ...(config.runFiles.flannelFile === undefined ? [] : [['flannel', config.runFiles.flannelFile] as const]),
    ['cni', `${[config.cniDir, ...config.cniDirs].join(' and ')}, style ${config.cniStyle}`],
  ];
}
