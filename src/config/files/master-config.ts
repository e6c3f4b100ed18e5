/**
 * The configuration of a master: its keys, their flags, and the rules between them. Reading it touches nothing; a
 * `MasterConfig` is complete, with every default in place.
 */

import { join } from 'node:path';
import { z } from 'zod';
import { type Cidr, parseCidr } from '#address/ip.js';
import { type LogConfig, log, logConfig } from '#config/files/log-config.js';
import {
  lease,
  type NetworkSection,
  networkConfig,
  networkFindings,
  networkSection,
} from '#config/files/network-config.js';
import { formatHostPort, type HostPort } from '#config/host-port.js';
import {
  httpHosts,
  httpTls,
  httpTlsFindings,
  listeningFindings,
  masterTls,
  type TlsConfig,
  tlsConfig,
  tlsFindings,
} from '#config/listening.js';
import { masterSettings } from '#config/master-settings.js';
import { type PeerReach, peerReachFindings, peerReachWarnings } from '#config/peer-reach.js';
import { insecureSetting } from '#config/process-settings.js';
import type { ConfigProblem } from '#config/schema/config-problem.js';
import { ConfigDocument, type ConfigSource, type Finding } from '#config/schema/document.js';
import { listen, matching, parsedBy, path, remote, remotes, whole, yesNo } from '#config/schema/reading.js';
import { list, section } from '#config/schema/section.js';
import { clusterIdForm, memberNameForm } from '#text/name-form.js';

export type MasterConfig = {
  /** This member's name, 1–63 characters of [a-z0-9.-]. */
  readonly name: string;
  /** As given; `sublet/` is made inside. */
  readonly dataDir: string;
  readonly listen: HostPort;
  readonly peerListen: HostPort;
  readonly httpListen: HostPort;
  readonly httpHosts: readonly string[];
  /** Undefined: anywhere. */
  readonly nodeIps: readonly Cidr[] | undefined;
  readonly httpTls: boolean;
  /** Undefined: there is no token. */
  readonly httpTokenFile: string | undefined;
  /** Undefined: probes use `httpListen`. */
  readonly healthListen: HostPort | undefined;
  readonly cluster: {
    readonly id: string;
    /** The first members, this one among them; after bootstrap the replicated membership counts. */
    readonly members: readonly MemberConfig[];
    /** Peer addresses of a cluster to join instead of bootstrapping one. */
    readonly join: readonly HostPort[];
  };
  /** The address plan, and how long leases and quarantines last. */
  readonly network: NetworkSection;
  readonly raft: {
    readonly heartbeatMs: number;
    readonly electionMs: number;
    /** Log entries that compaction leaves behind the applied position. */
    readonly retainEntries: number;
  };
  readonly tls: TlsConfig | undefined;
  readonly tlsRenew: boolean;
  /** Undefined without TLS. */
  readonly joining: JoiningConfig | undefined;
  readonly insecure: boolean;
  readonly log: LogConfig;
};

/** How this master has hosts join. */
export type JoiningConfig = {
  /** Undefined: they join at other masters. */
  readonly listen: HostPort | undefined;
  /** PEM; undefined: other masters sign. */
  readonly caKey: string | undefined;
  readonly lifetimeMs: number;
};

export type MemberConfig = { readonly name: string; readonly peer: HostPort };

export type Loaded<Config> = {
  readonly config: Config;
  /** What is accepted and should be looked at all the same. */
  readonly warnings: readonly ConfigProblem[];
};

const membersMax = 9;
const nodeIpsMax = 128;
const defaults = {
  name: 'master-1',
  dataDir: 'sublet-data',
  clusterId: 'sublet',
  listen: { host: '127.0.0.1', port: 7070 },
  peerListen: { host: '127.0.0.1', port: 7071 },
  httpListen: { host: '127.0.0.1', port: 7072 },
  joinPort: 7074,
  certificateLifetimeMs: 7 * 86_400_000,
  heartbeatMs: 100,
  electionMs: 1_000,
  retainEntries: 10_000,
};

const memberName = matching(memberNameForm);

export const masterSchema = section({
  name: memberName.optional(),
  data_dir: path.optional(),
  listen: listen.optional(),
  peer_listen: listen.optional(),
  http_listen: listen.optional(),
  join_listen: listen.optional(),
  http_hosts: httpHosts.optional(),
  node_ips: z.array(parsedBy(parseCidr, '10.0.0.0/8')).min(1).max(nodeIpsMax).optional(),
  http_tls: yesNo.optional(),
  http_token_file: path.optional(),
  health_listen: listen.optional(),
  cluster: section({
    id: matching(clusterIdForm).optional(),
    members: list(section({ name: memberName, peer: remote }), membersMax).optional(),
    join: remotes(membersMax).optional(),
  }).optional(),
  network: networkSection.optional(),
  lease: lease.optional(),
  raft: section({
    heartbeat_ms: whole(10, 60_000, 'milliseconds').optional(),
    election_ms: whole(50, 600_000, 'milliseconds').optional(),
    retain_entries: whole(1, 10_000_000).optional(),
  }).optional(),
  tls: masterTls.optional(),
  insecure: yesNo.optional(),
  log: log.optional(),
  zk: z.unknown().optional(),
});

/** The settings of a master, for flags and help. */
export { masterSettings };

/**
 * Reads a master's configuration.
 * @throws ConfigError with every problem
 */
export function loadMasterConfig(source: ConfigSource): Loaded<MasterConfig> {
  const document = new ConfigDocument(source, masterSettings);
  const given = document.read(masterSchema, relations);
  const members = given.cluster?.members ?? [];
  const self = ownMember(document);
  const name = given.name ?? self?.name ?? defaults.name;
  const peerListen = given.peer_listen ?? self?.peer ?? defaults.peerListen;
  const config: MasterConfig = {
    name,
    dataDir: given.data_dir ?? join('.', defaults.dataDir),
    listen: given.listen ?? defaults.listen,
    peerListen,
    httpListen: given.http_listen ?? defaults.httpListen,
    httpHosts: given.http_hosts ?? [],
    nodeIps: given.node_ips,
    httpTls: httpTls(document, given.http_listen ?? defaults.httpListen),
    httpTokenFile: given.http_token_file,
    healthListen: given.health_listen,
    cluster: {
      id: given.cluster?.id ?? defaults.clusterId,
      members: members.length > 0 ? members : [{ name, peer: peerListen }],
      join: given.cluster?.join ?? [],
    },
    network: networkConfig(given.network, given.lease, document.at('lease', 'reclaim') !== undefined),
    raft: {
      heartbeatMs: given.raft?.heartbeat_ms ?? defaults.heartbeatMs,
      electionMs: given.raft?.election_ms ?? defaults.electionMs,
      retainEntries: given.raft?.retain_entries ?? defaults.retainEntries,
    },
    tls: given.tls && tlsConfig(given.tls),
    tlsRenew: given.tls?.renew ?? false,
    joining: given.tls && {
      listen: joinListen(given.join_listen, given.tls.ca_key, given.listen ?? defaults.listen),
      caKey: given.tls.ca_key,
      lifetimeMs: given.tls.certificate_lifetime ?? defaults.certificateLifetimeMs,
    },
    insecure: given.insecure ?? false,
    log: logConfig(given.log),
  };
  return { config, warnings: warnings(document).map((finding) => document.problem(finding)) };
}

/** Beside the API, where this master signs. */
function joinListen(given: HostPort | undefined, caKey: unknown, api: HostPort): HostPort | undefined {
  if (given !== undefined) return given;
  return caKey === undefined ? undefined : { host: api.host, port: defaults.joinPort };
}

function joinListenFindings(document: ConfigDocument): readonly Finding[] {
  if (document.at('join_listen') === undefined || document.at('tls') !== undefined) return [];
  return [{ path: ['join_listen'], message: 'goes with tls: hosts join to get a certificate' }];
}

function relations(document: ConfigDocument): readonly Finding[] {
  return [
    ...memberFindings(document),
    ...peerReachFindings(peerReach(document)),
    ...listenFindings(document),
    ...tlsFindings(document),
    ...joinListenFindings(document),
    ...httpTlsFindings(document),
    ...raftFindings(document),
    ...networkFindings(document),
  ];
}

function memberFindings(document: ConfigDocument): readonly Finding[] {
  const members = membersOf(document);
  const findings: Finding[] = [];
  members.forEach((member, at) => {
    for (const key of ['name', 'peer'] as const) {
      const first = members.findIndex((other) => same(other, member, key));
      if (member[key] === undefined || first === at) continue;
      const shown = key === 'name' ? member.name : formatHostPort(member.peer ?? defaults.peerListen);
      const message = `"${shown}" is the ${key} of cluster.members[${first}] too: each member needs its own`;
      findings.push({ path: ['cluster', 'members', at, key], message });
    }
  });
  const names = members.flatMap(({ name }) => (name === undefined ? [] : [name]));
  const name = document.at('name');
  if (typeof name === 'string' && names.length > 0 && !names.includes(name)) {
    findings.push({ path: ['name'], message: `"${name}" is none of cluster.members: ${names.join(', ')} are` });
  }
  if (name === undefined && names.length > 0 && ownMember(document) === undefined) {
    const message = `is needed to tell which of cluster.members this master is: ${names.join(', ')} (--name)`;
    findings.push({ path: ['name'], message });
  }
  return [...findings, ...joinFindings(document)];
}

/** A member bootstraps a cluster with others, or joins one that exists. */
function joinFindings(document: ConfigDocument): readonly Finding[] {
  if (document.at('cluster', 'join') === undefined) return [];
  const findings: Finding[] = [];
  if (document.at('cluster', 'members') !== undefined) {
    const message = 'goes without cluster.members: those bootstrap a cluster, and join enters one that exists';
    findings.push({ path: ['cluster', 'join'], message });
  }
  if (document.at('name') === undefined) {
    findings.push({ path: ['name'], message: 'is needed to join a cluster: the name it is added under (--name)' });
  }
  return findings;
}

function same(a: PartialMember, b: PartialMember, key: 'name' | 'peer'): boolean {
  if (key === 'name') return a.name === b.name;
  return a.peer !== undefined && b.peer !== undefined && formatHostPort(a.peer) === formatHostPort(b.peer);
}

type PartialMember = { readonly name: string | undefined; readonly peer: HostPort | undefined };

/** The members as far as they can be read, at their places. */
function membersOf(document: ConfigDocument): readonly PartialMember[] {
  const given = document.at('cluster', 'members');
  if (!Array.isArray(given)) return [];
  return given.map((_, at) => ({
    name: valid(memberName, document.at('cluster', 'members', at, 'name')),
    peer: valid(remote, document.at('cluster', 'members', at, 'peer')),
  }));
}

/** The member that this master is: by its name, else by the address it listens on for its peers. */
function ownMember(document: ConfigDocument): MemberConfig | undefined {
  const name = document.at('name');
  const peerListen = valid(listen, document.at('peer_listen'));
  const found = membersOf(document).find((member) => {
    if (name !== undefined) return member.name === name;
    return (
      peerListen !== undefined &&
      member.peer !== undefined &&
      formatHostPort(member.peer) === formatHostPort(peerListen)
    );
  });
  return found?.name === undefined || found.peer === undefined ? undefined : { name: found.name, peer: found.peer };
}

function peerReach(document: ConfigDocument): PeerReach {
  const { peerListen: defaultPeerListen } = defaults;
  return {
    peerListen: valid(listen, document.at('peer_listen')),
    defaultPeerListen,
    listen: valid(listen, document.at('listen')),
    join: valid(remotes(membersMax), document.at('cluster', 'join')) ?? [],
    members: membersOf(document),
  };
}

function listenFindings(document: ConfigDocument): readonly Finding[] {
  // A value that can't be read has its own problem already; a key that is absent has its default.
  const at = (key: string, fallback: HostPort): HostPort | undefined =>
    document.at(key) === undefined ? fallback : valid(listen, document.at(key));
  const listening = {
    listen: at('listen', defaults.listen),
    peer_listen: at('peer_listen', ownMember(document)?.peer ?? defaults.peerListen),
    http_listen: at('http_listen', defaults.httpListen),
    health_listen: valid(listen, document.at('health_listen')),
    join_listen: joinListen(
      valid(listen, document.at('join_listen')),
      document.at('tls', 'ca_key'),
      at('listen', defaults.listen) ?? defaults.listen,
    ),
  };
  const secured = [
    'listen',
    'peer_listen',
    'join_listen',
    ...(document.at('http_tls') === false ? [] : ['http_listen']),
  ];
  return listeningFindings(document, listening, secured);
}

function raftFindings(document: ConfigDocument): readonly Finding[] {
  const heartbeat = document.at('raft', 'heartbeat_ms') ?? defaults.heartbeatMs;
  const election = document.at('raft', 'election_ms') ?? defaults.electionMs;
  if (typeof heartbeat !== 'number' || typeof election !== 'number' || election >= 5 * heartbeat) return [];
  const message = `${election} is too short beside raft.heartbeat_ms ${heartbeat}: at least 5 heartbeats, ${5 * heartbeat}, are allowed`;
  const key = document.at('raft', 'election_ms') === undefined ? 'heartbeat_ms' : 'election_ms';
  return [{ path: ['raft', key], message: key === 'election_ms' ? message : heartbeatMessage(heartbeat, election) }];
}

function heartbeatMessage(heartbeat: number, election: number): string {
  return `${heartbeat} is too long beside raft.election_ms ${election}: at most a fifth of it, ${Math.floor(election / 5)}, is allowed`;
}

function valid<T>(schema: z.ZodType<T>, value: unknown): T | undefined {
  if (value === undefined) return undefined;
  const read = schema.safeParse(value);
  return read.success ? read.data : undefined;
}

function warnings(document: ConfigDocument): Finding[] {
  const found: Finding[] = [];
  if (document.at('zk') !== undefined) {
    found.push({ path: ['zk'], message: 'is ignored: Sublet replicates by itself and uses no ZooKeeper' });
  }
  const members = membersOf(document).length;
  if (members > 0 && members % 2 === 0) {
    const message = `has ${members} members, which survive no more failures than ${members - 1} do: an odd number is better`;
    found.push({ path: ['cluster', 'members'], message });
  }
  found.push(...peerReachWarnings(peerReach(document)));
  if (document.at('insecure') === true) {
    found.push({ path: ['insecure'], message: `is on: ${insecureSetting.about}` });
  }
  return found;
}
