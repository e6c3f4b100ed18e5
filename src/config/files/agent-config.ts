/**
 * The configuration of an agent: its keys, their flags, and the rules between them. What depends on the host (its
 * name, its address) stays undefined here; the agent finds it out.
 */

import { join } from 'node:path';
import { z } from 'zod';
import { AddressError } from '#address/brand.js';
import { unreachableRemedy, unreachableUse } from '#address/host-address.js';
import { formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { agentSettings } from '#config/agent-settings.js';
import { type LogConfig, log, logConfig } from '#config/files/log-config.js';
import type { Loaded } from '#config/files/master-config.js';
import { overlayKeys } from '#config/files/network-config.js';
import type { HostPort } from '#config/host-port.js';
import { httpHosts, listeningFindings, type TlsConfig, tls, tlsConfig, tlsFindings } from '#config/listening.js';
import { insecureSetting } from '#config/process-settings.js';
import { ConfigDocument, type ConfigSource, type Finding } from '#config/schema/document.js';
import {
  listen,
  matching,
  oneOf,
  parsedBy,
  path,
  remotes,
  type Schema,
  secret,
  whole,
  yesNo,
  yesNoOr,
} from '#config/schema/reading.js';
import { section } from '#config/schema/section.js';
import { agentIdForm } from '#text/name-form.js';

export type AgentConfig = {
  /** 1 to 253 characters of [A-Za-z0-9._:-]; undefined: the host name. */
  readonly id: string | undefined;
  /** Canonical text; undefined: the source address of the route to the masters. */
  readonly nodeIp: string | undefined;
  readonly masters: readonly HostPort[];
  readonly stateDir: string;
  readonly httpListen: HostPort;
  readonly httpHosts: readonly string[];
  /** With TLS; undefined: nowhere. */
  readonly httpsListen: HostPort | undefined;
  /** For `httpsListen`. */
  readonly httpTokenFile: string | undefined;
  readonly network: 'linux' | 'plan';
  readonly overlaysAllowed: readonly string[] | undefined;
  readonly guard: boolean;
  /** Device names. */
  readonly guardExcept: readonly string[];
  readonly cniDir: string;
  readonly cniDirs: readonly string[];
  readonly cniFilePrefix: string;
  /** Undefined: the overlay whose file came first until now. */
  readonly cniDefault: string | undefined;
  readonly cniPortmap: boolean;
  /** Plugins, each an object with its `type`. */
  readonly cniChain: readonly { readonly type: string }[];
  /** Undefined: host-local's own default. */
  readonly cniDataDir: string | undefined;
  readonly cniStyle: 'standard' | 'mesos';
  /** Absolute path and arguments; empty: none. */
  readonly onChange: readonly string[];
  /** Absolute paths. */
  readonly runFiles: {
    readonly runDir: string | undefined;
    readonly flannelFile: string | undefined;
    readonly flannelOverlay: string | undefined;
  };
  /** Undefined: DOCKER_HOST, else the local socket. */
  readonly dockerHost: string | undefined;
  readonly iptables: 'iptables' | 'iptables-nft' | 'iptables-legacy';
  readonly networkConfig: {
    readonly allocateSubnet: boolean;
    readonly mesosBridge: boolean;
    readonly dockerBridge: boolean;
    readonly split: boolean;
    /** Bytes. */
    readonly overlayMtu: number;
    readonly enableIpv6: boolean;
  };
  /** A host without Docker is as it should be. */
  readonly dockerOptional: boolean;
  readonly bridges: 'as-needed' | 'now';
  readonly tls: TlsConfig | undefined;
  readonly tlsRenew: boolean;
  /** The text of a token; undefined: none. */
  readonly join: string | undefined;
  readonly joinPort: number;
  readonly insecure: boolean;
  readonly log: LogConfig;
};

const mastersMax = 9;
const overlaysAllowedMax = 128;
const guardExceptMax = 32;
const cniDirsMax = 8;
const cniChainMax = 16;
/** A name that a device may have, in words of iptables. */
const deviceForm = {
  pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/,
  allowed: 'the name of a device, 1 to 15 characters of [A-Za-z0-9._-],',
};
const defaults = {
  masters: [{ host: '127.0.0.1', port: 7070 }],
  httpListen: { host: '127.0.0.1', port: 7073 },
  joinPort: 7074,
  cniDir: '/etc/cni/net.d',
  overlayMtu: 1420,
};

/** Without `.`, `..` and doubled or closing slashes, so that one file has one path. */
const absolutePath = matching({
  pattern: /^(\/(?!\.\.?(\/|$))[A-Za-z0-9._@+-]+)+$/,
  allowed: 'an absolute path of [A-Za-z0-9._@+-] between slashes',
});

const commandWordsMax = 32;
const word = matching({ pattern: /^[^\0]{1,4096}$/, allowed: 'a text of 1 to 4096 characters' });

/** No shell looks for the program. */
const command: Schema<readonly string[]> = z
  .array(word)
  .min(1, 'is empty: an absolute path, and arguments, are allowed')
  .max(commandWordsMax, `has too many words: ${commandWordsMax} at most are allowed`)
  .refine(([program]) => program === undefined || absolutePath.safeParse(program).success, {
    message: 'does not begin with an absolute path: ["/usr/local/bin/x", "argument"] is allowed',
  });

const plugin = z.looseObject(
  { type: matching({ pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, allowed: 'the name of a plugin’s program' }) },
  { error: 'is not an object: a plugin like {"type": "bandwidth"} is allowed' },
);

/** The same rule as the masters': `config check` reports it before a registration is refused. */
const nodeIp: Schema<string> = parsedBy((text) => {
  const address = parseIp(text);
  const use = unreachableUse(address);
  if (use !== undefined) throw new AddressError(text, `is ${use}: ${unreachableRemedy}`);
  return formatIp(address);
}, '10.0.0.1');

export const agentSchema = section({
  id: matching(agentIdForm).optional(),
  node_ip: nodeIp.optional(),
  masters: remotes(mastersMax).optional(),
  state_dir: path.optional(),
  http_listen: listen.optional(),
  http_hosts: httpHosts.optional(),
  https_listen: listen.optional(),
  http_token_file: path.optional(),
  network: oneOf('linux', 'plan').optional(),
  overlays_allowed: z
    .array(parsedBy((text) => formatCidr(parseCidr(text)), '9.0.0.0/8'))
    .max(overlaysAllowedMax)
    .optional(),
  guard: yesNo.optional(),
  guard_except: z.array(matching(deviceForm)).max(guardExceptMax).optional(),
  cni_dir: path.optional(),
  cni_dirs: z.array(path).max(cniDirsMax).optional(),
  cni_file_prefix: matching({
    pattern: /^[A-Za-z0-9_-]{1,32}$/,
    allowed: 'a text of 1 to 32 characters of [A-Za-z0-9_-]',
  }).optional(),
  cni_default: overlayKeys.name.optional(),
  cni_portmap: yesNo.optional(),
  cni_chain: z.array(plugin).max(cniChainMax).optional(),
  cni_data_dir: path.optional(),
  cni_style: oneOf('standard', 'mesos').optional(),
  on_change: command.optional(),
  run_dir: absolutePath.optional(),
  flannel_subnet_file: absolutePath.optional(),
  flannel_overlay: overlayKeys.name.optional(),
  docker_host: matching({
    pattern: /^(unix:\/\/\/.+|tcp:\/\/[^/]+:[0-9]{1,5}\/?)$/,
    allowed: 'unix:///PATH or tcp://HOST:PORT',
  }).optional(),
  iptables: oneOf('iptables', 'iptables-nft', 'iptables-legacy').optional(),
  network_config: section({
    allocate_subnet: yesNo.optional(),
    mesos_bridge: yesNo.optional(),
    docker_bridge: yesNoOr('auto').optional(),
    split: yesNo.optional(),
    bridges: oneOf('as-needed', 'now').optional(),
    overlay_mtu: whole(576, 65_535, 'bytes').optional(),
    enable_ipv6: yesNo.optional(),
  }).optional(),
  max_configuration_attempts: whole(0, 4_294_967_295).optional(),
  tls: tls.optional(),
  join: secret(/^sj1(\.[\w-]{22,43}){3}$/, 'a token like sj1.PIN.ID.SECRET').optional(),
  join_port: whole(1, 65_535).optional(),
  insecure: yesNo.optional(),
  log: log.optional(),
});

/** The settings of an agent, for flags and help. */
export { agentSettings };

/**
 * Reads an agent's configuration.
 * @throws ConfigError with every problem
 */
export function loadAgentConfig(source: ConfigSource): Loaded<AgentConfig> {
  const document = new ConfigDocument(source, agentSettings);
  const given = document.read(agentSchema, (read) => [
    ...tlsFindings(read),
    ...joinFindings(read),
    ...listenFindings(read),
    ...splitFindings(read),
    ...chainFindings(read),
  ]);
  const wanted = given.network_config;
  const dcos = given.max_configuration_attempts !== undefined;
  const config: AgentConfig = {
    id: given.id,
    nodeIp: given.node_ip,
    masters: given.masters ?? defaults.masters,
    stateDir: given.state_dir ?? join('sublet-data', 'agent'),
    httpListen: given.http_listen ?? defaults.httpListen,
    httpHosts: given.http_hosts ?? [],
    httpsListen: given.https_listen,
    httpTokenFile: given.http_token_file,
    network: given.network ?? 'linux',
    overlaysAllowed: given.overlays_allowed,
    guard: given.guard ?? true,
    guardExcept: given.guard_except ?? [],
    cniDir: given.cni_dir ?? defaults.cniDir,
    cniDirs: given.cni_dirs ?? [],
    cniFilePrefix: given.cni_file_prefix ?? '',
    cniDefault: given.cni_default,
    cniPortmap: given.cni_portmap ?? true,
    cniChain: given.cni_chain ?? [],
    cniDataDir: given.cni_data_dir,
    cniStyle: given.cni_style ?? (dcos ? 'mesos' : 'standard'),
    onChange: given.on_change ?? [],
    runFiles: {
      runDir: given.run_dir,
      flannelFile: given.flannel_subnet_file,
      flannelOverlay: given.flannel_overlay,
    },
    dockerHost: given.docker_host,
    iptables: given.iptables ?? 'iptables',
    networkConfig: {
      allocateSubnet: wanted?.allocate_subnet ?? true,
      mesosBridge: wanted?.mesos_bridge ?? true,
      dockerBridge: wanted?.docker_bridge !== false,
      split: wanted?.split ?? true,
      overlayMtu: wanted?.overlay_mtu ?? defaults.overlayMtu,
      enableIpv6: wanted?.enable_ipv6 ?? true,
    },
    // Where the file says where Docker is, there is one.
    dockerOptional: (wanted?.docker_bridge ?? 'auto') === 'auto' && given.docker_host === undefined,
    bridges: wanted?.bridges ?? 'as-needed',
    tls: given.tls && tlsConfig(given.tls),
    tlsRenew: given.tls?.renew ?? false,
    join: given.join,
    joinPort: given.join_port ?? defaults.joinPort,
    insecure: given.insecure ?? false,
    log: logConfig(given.log),
  };
  return { config, warnings: warnings(document).map((finding) => document.problem(finding)) };
}

/** A host that joins has TLS, and makes its own key. */
function joinFindings(document: ConfigDocument): readonly Finding[] {
  if (document.at('join') === undefined) return [];
  const other = ['tls', 'insecure'].find((key) => document.at(key) !== undefined && document.at(key) !== false);
  if (other === undefined) return [];
  return [{ path: ['join'], message: `can not be set beside ${other}: remove one of the two` }];
}

/** Mesos's port mapper delegates to one plugin. */
function chainFindings(document: ConfigDocument): readonly Finding[] {
  const style = document.at('cni_style') ?? (document.at('max_configuration_attempts') === undefined ? '' : 'mesos');
  if (style !== 'mesos') return [];
  const keys = ['cni_chain', 'cni_portmap', 'cni_default'].filter((key) => document.at(key) !== undefined);
  return keys.map((key) => ({ path: [key], message: 'is of cni_style standard alone: remove it, or set cni_style' }));
}

/** The masters refuse it likewise. */
function splitFindings(document: ConfigDocument): readonly Finding[] {
  const wants = (key: string) => document.at('network_config', key) !== false;
  if (wants('split') || !wants('mesos_bridge') || !wants('docker_bridge')) return [];
  const remedy = 'set mesos_bridge or docker_bridge to false, so that the other one has the whole subnet';
  return [{ path: ['network_config', 'split'], message: `can not be false beside two bridges: ${remedy}` }];
}

function listenFindings(document: ConfigDocument): readonly Finding[] {
  const at = (key: string): HostPort | undefined => {
    const given = document.at(key);
    const read = given === undefined ? undefined : listen.safeParse(given);
    return read?.success ? read.data : undefined;
  };
  const findings = listeningFindings(
    document,
    { http_listen: at('http_listen') ?? defaults.httpListen, https_listen: at('https_listen') },
    [],
  );
  if (document.at('http_token_file') === undefined || document.at('https_listen') !== undefined) return findings;
  return [...findings, { path: ['http_token_file'], message: 'goes with https_listen: it is read there alone' }];
}

function warnings(document: ConfigDocument): readonly Finding[] {
  if (document.at('insecure') !== true) return [];
  return [{ path: ['insecure'], message: `is on: ${insecureSetting.about}` }];
}
