/**
 * What this host lacks for an agent, found before one starts: rights, tools, kernel, folders, ports, Docker. Changes
 * nothing on the host; what only trying can tell is tried in a network namespace that is gone with the try.
 */

import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatCidr } from '#address/ip.js';
import { errorText } from '#errors/unknown-error.js';
import { writableByOthers } from '#files/private-folder.js';
import { readOnlySysctlRemedy } from '#host/apply/explain.js';
import { encapsulationBytes, ipv6MtuBytesMin } from '#host/desired/desired.js';
import { sourceTable } from '#host/desired/marks.js';
import { underlayOf } from '#host/desired/underlay.js';
import type { HostCheck } from '#host/host-check.js';
import type { CheckFinding } from '#host/host-status.js';
import type { HostSettings } from '#host/input.js';
import { checkFirewallRules, checkPacketFilters } from '#host/observe/check-firewall.js';
import { ipv6Off } from '#host/observe/host-facts.js';
import { observeLinks } from '#host/observe/observe-kernel.js';
import { observeStrangers } from '#host/observe/observe-strangers.js';
import { observeSurroundings } from '#host/observe/observe-surroundings.js';
import { observeSysctls } from '#host/observe/observe-sysctl.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { dockerEngine, localDocker } from '#host/tools/docker-engine.js';
import { moduleRemedy, modulesOf } from '#host/tools/kernel-modules.js';
import { processRunner, type Runner, ToolMissingError } from '#host/tools/runner.js';

/** One finding for each thing looked at, good ones too. Never rejects for what it finds. */
export async function checkHost(check: HostCheck): Promise<readonly CheckFinding[]> {
  const run = check.run ?? processRunner;
  const needsFirewall = check.containers.cni || check.containers.docker;
  const found = await Promise.all([
    guarded('root', checkRights),
    guarded('sysctl', checkSysctls),
    guarded('iproute2', () => checkTool(run, 'iproute2', 'ip', '-V')),
    guarded('vxlan', () => checkVxlan(run)),
    guarded('device', () => checkLinks(run, check)),
    guarded('routes', () => checkSourceTable(run)),
    guarded('port', () => checkPort(run, check.port)),
    ...(check.settings.enableIpv6 ? [guarded('ipv6', () => checkIpv6(check))] : []),
    ...(needsFirewall
      ? [
          guarded('ipset', () => checkIpset(run)),
          guarded('iptables', () => checkIptables(run, check.settings)),
          guarded('iptables', () => checkFirewallRules(run, check.settings)),
        ]
      : []),
    guarded('firewall', () => checkPacketFilters(run, check)),
    ...(check.containers.cni
      ? [guarded('cni', () => checkCniFolder(check.settings.cniDir)), guarded('cni', checkCniPlugins)]
      : []),
    ...(check.containers.docker ? [guarded('docker', () => checkDocker(check))] : []),
    guarded('ping', () => checkTool(run, 'ping', 'ping', '-V', 'warning')),
  ]);
  return found.flat();
}

type Found = Omit<CheckFinding, 'what'>;

/** A check that itself breaks is a finding too; a missing tool's error says how to get it. */
async function guarded(what: string, look: () => Promise<Found | readonly Found[]>): Promise<CheckFinding[]> {
  try {
    return [await look()].flat().map((found) => ({ what, ...found }));
  } catch (error) {
    if (error instanceof ToolMissingError) {
      return [{ what, severity: 'error', says: `"${error.command}" is not installed`, todo: error.message }];
    }
    return [{ what, severity: 'error', says: errorText(error) }];
  }
}

/** Capability numbers of linux/capability.h. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 } as const;

async function checkRights(): Promise<Found> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  const lacking = Object.entries(capabilities).filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n);
  if (lacking.length === 0) return { severity: 'ok', says: 'may change the network' };
  const names = lacking.map(([name]) => name).join(' and ');
  return { severity: 'error', says: `lacks ${names}`, todo: `run the agent as root, or give it ${names}` };
}

async function checkSysctls(): Promise<Found> {
  const sysctl = '/proc/sys/net/ipv4/ip_forward';
  const wrong = await access(sysctl, constants.W_OK).catch((error: NodeJS.ErrnoException) => error);
  if (wrong === undefined) return { severity: 'ok', says: '/proc/sys/net is writable' };
  const todo = wrong.code === 'EROFS' ? readOnlySysctlRemedy : 'run the agent as root';
  return { severity: 'error', says: `${sysctl} can not be written (${wrong.code})`, todo };
}

async function checkTool(
  run: Runner,
  what: string,
  command: string,
  versionFlag: string,
  severity: 'warning' | 'error' = 'error',
): Promise<Found> {
  try {
    const { stdout, stderr } = await run.run(command, [versionFlag]);
    return { severity: 'ok', says: `${what}: ${(stdout || stderr).trim().split('\n')[0]}` };
  } catch (error) {
    if (!(error instanceof ToolMissingError)) throw error;
    const needed = severity === 'warning' ? '; only "sublet agent ping" needs it' : '';
    return { severity, says: `"${command}" is not installed${needed}`, todo: error.message };
  }
}

/** Makes a VXLAN device in a namespace of its own. */
async function checkVxlan(run: Runner): Promise<Found> {
  const attempt = 'ip link add name probe type vxlan id 1 dstport 64000 nolearning';
  const { code, stderr } = await run.run('unshare', ['--net', 'sh', '-c', attempt]);
  if (code === 0) return { severity: 'ok', says: 'the kernel makes VXLAN devices' };
  if (/Operation not permitted/.test(stderr)) {
    const says = 'can not tell without CAP_SYS_ADMIN whether the kernel makes VXLAN devices';
    return { severity: 'warning', says };
  }
  return {
    severity: 'error',
    says: `the kernel makes no VXLAN device: ${stderr.trim()}`,
    todo: 'load the module: modprobe vxlan',
  };
}

async function checkLinks(run: Runner, check: HostCheck): Promise<Found[]> {
  const [links, surroundings] = await Promise.all([observeLinks(run), observeSurroundings(run, [])]);
  return [deviceFinding(links, check.vtepName), ...underlayFindings({ links, surroundings }, check)];
}

/** The table that containers' packets look at first; a way out in it takes them away from the tunnel. */
async function checkSourceTable(run: Runner): Promise<Found[]> {
  const routes = (await observeStrangers(run, [])).filter(({ destination }) => destination.prefix === 0);
  return routes.map(({ line, destination }) => ({
    severity: 'error',
    says: `table ${sourceTable} has the route "${line}", which takes the containers' packets to peers away`,
    todo: `remove it with "ip route del ${formatCidr(destination)} table ${sourceTable}", or use another table for it`,
  }));
}

function deviceFinding(links: ObservedHost['links'], name: string): Found {
  const link = links.get(name);
  if (link === undefined) return { severity: 'ok', says: `${name} is free` };
  if (link.alias?.startsWith('sublet:')) return { severity: 'ok', says: `${name} is there, of ${link.alias}` };
  const says = `there is a ${link.kind} device ${name} that is not Sublet's`;
  return { severity: 'error', says, todo: `ip link del ${name}, or give the network another vtep_name` };
}

function underlayFindings(
  seen: Pick<ObservedHost, 'links' | 'surroundings'>,
  { nodeIp, settings }: HostCheck,
): Found[] {
  if (nodeIp === undefined) return [];
  const underlay = underlayOf(seen, nodeIp);
  if (underlay === undefined) {
    const todo = 'give the address of the underlay with --node-ip';
    return [{ severity: 'error', says: `node_ip ${nodeIp} is on no interface`, todo }];
  }
  const { device, mtu } = underlay;
  const found: Found = { severity: 'ok', says: `node_ip ${nodeIp} is on ${device}, MTU ${mtu}` };
  const least = ipv6MtuBytesMin + encapsulationBytes(nodeIp);
  if (!settings.enableIpv6 || mtu >= least) return [found];
  const says = `the underlay's MTU of ${mtu} leaves the tunnel less than IPv6's ${ipv6MtuBytesMin} bytes: overlays with a subnet6 will fail`;
  const todo = `raise the MTU of ${device} to ${least} or more, or set network_config.enable_ipv6 to false`;
  return [found, { severity: 'warning', says, todo }];
}

/** VXLAN devices share their port, which looks taken like any other; only a socket of a program is in the way. */
async function checkPort(run: Runner, port: number): Promise<Found> {
  const links = await observeLinks(run);
  const sharing = [...links.values()].find(({ vxlan }) => vxlan?.port === port);
  if (sharing !== undefined) {
    return { severity: 'ok', says: `UDP port ${port} is VXLAN's already, for ${sharing.name}` };
  }
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const tables = await Promise.all(
    ['udp', 'udp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')), // No IPv6: no such table.
  );
  const isTaken = tables
    .join('')
    .split('\n')
    .some((line) => line.trim().split(/\s+/)[1]?.endsWith(`:${hex}`));
  if (!isTaken) return { severity: 'ok', says: `UDP port ${port} is free for VXLAN` };
  const todo = 'see "ss -ulnp": free it, or give the network another vxlan_port';
  return { severity: 'error', says: `UDP port ${port} is taken`, todo };
}

/** By what the agent goes by, so that what is found here beforehand is what would fail. */
async function checkIpv6({ vtepName }: HostCheck): Promise<Found> {
  const off = ipv6Off(await observeSysctls(vtepName, []), vtepName);
  if (off === undefined) return { severity: 'ok', says: 'IPv6 is on' };
  const [says = off, todo = ''] = off.split(/: (?=boot|run)/);
  return { severity: 'warning', says: `${says}: overlays with a subnet6 will fail`, todo };
}

async function checkIpset(run: Runner): Promise<Found> {
  const { code, stderr } = await run.run('ipset', ['save']);
  if (code === 0) return { severity: 'ok', says: 'ipset works' };
  return {
    severity: 'error',
    says: `ipset does not work: ${stderr.trim()}`,
    todo: /not permitted|permission/i.test(stderr) ? 'run it as root' : moduleRemedy(modulesOf.ipset),
  };
}

/** Docker's rules and ours must stand in the same tables: an accept in one does not undo a drop in the other. */
async function checkIptables(run: Runner, { iptables }: HostSettings): Promise<Found[]> {
  const { stdout } = await run.run(iptables, ['--version']);
  const isNft = stdout.includes('nf_tables');
  const found: Found[] = [{ severity: 'ok', says: `${iptables}: ${stdout.trim()}` }];
  const other = isNft ? 'iptables-legacy' : 'iptables-nft';
  const saved = await run.run(`${other}-save`, ['-t', 'filter']).catch(() => undefined); // Not installed: no such rules.
  if (saved?.code === 0 && /^:FORWARD DROP/m.test(saved.stdout)) {
    const says = `${other} drops what is forwarded, and "${iptables}" writes to other tables`;
    found.push({ severity: 'error', says, todo: `set iptables to "${other}", which is what Docker uses here` });
  }
  return found;
}

async function checkCniFolder(dir: string): Promise<Found> {
  const existing = await firstExisting(dir);
  const writable = existing === dir ? writableByOthers(dir) : undefined;
  if (writable !== undefined) return { severity: 'error', says: writable };
  const isWritable = await access(existing, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (isWritable) return { severity: 'ok', says: existing === dir ? `${dir} is writable` : `${dir} will be made` };
  return {
    severity: 'error',
    says: `${existing} can not be written`,
    todo: 'mount it writable, or give another cni_dir',
  };
}

async function firstExisting(dir: string): Promise<string> {
  for (let path = dir; path !== '/'; path = dirname(path)) {
    if (await exists(path)) return path;
  }
  return '/';
}

/** Where engines and distributions put the plugins. */
const pluginFolders = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];

async function checkCniPlugins(): Promise<Found> {
  const plugins = ['bridge', 'host-local', 'portmap'];
  for (const folder of pluginFolders) {
    const there = await Promise.all(plugins.map((plugin) => exists(join(folder, plugin))));
    if (there.every(Boolean)) return { severity: 'ok', says: `CNI plugins in ${folder}` };
  }
  const says = `the CNI plugins ${plugins.join(', ')} are in none of ${pluginFolders.join(', ')}`;
  return {
    severity: 'warning',
    says,
    todo: 'install them where your container engine looks (Debian: apt-get install containernetworking-plugins)',
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function checkDocker({ settings, docker }: HostCheck): Promise<Found> {
  const host = settings.dockerHost ?? localDocker;
  const seen = await (docker ?? dockerEngine(host)).observe();
  if (seen.kind === 'read') {
    const { version, firewall } = seen.engine;
    return {
      severity: 'ok',
      says: `Docker ${version.join('.')} answers at ${host}, with the firewall backend ${firewall}`,
    };
  }
  if (seen.kind === 'unreadable' && seen.socket !== undefined && settings.dockerOptional === true) {
    const says = `this host has no Docker (nothing is at ${seen.socket}): the addresses of its bridges wait for it`;
    return { severity: 'warning', says, todo: 'without Docker set network_config.docker_bridge to false' };
  }
  return { severity: 'error', says: seen.kind === 'unreadable' ? seen.error : 'Docker was not asked' };
}
