/**
 * What `sublet dev` runs: how many of what, under which names, at which ports, with which arguments. Plain values; the
 * same options give the same plan, so that a second run finds what the first has left.
 */
import { join } from 'node:path';

export type DevOptions = {
  readonly masters: number;
  readonly agents: number;
  readonly dataDir: string;
  readonly basePort: number;
  /** Without TLS. */
  readonly insecure: boolean;
};

export type DevProcess = {
  readonly kind: 'master' | 'agent';
  readonly name: string;
  /** Arguments of `sublet`. */
  readonly args: readonly string[];
  /** Its certificate, key and authority; undefined: without TLS. */
  readonly tls: string | undefined;
  /** Ports on 127.0.0.1 that it takes, that of HTTP last. */
  readonly ports: readonly number[];
  /** Masters: HOST:PORT of the API. */
  readonly api: string | undefined;
  /** The folder that it makes when it runs for the first time. */
  readonly dataDir: string;
  readonly log: string;
};

export const devDefaults = { masters: 3, agents: 3, dataDir: 'sublet-data', basePort: 7070, insecure: false };
export const devMax = { masters: 7, agents: 50 };
/** Ports between one master (or agent) and the next. */
const stride = 10;

/** The highest port that a plan of these takes. */
export function lastPort({ masters, agents, basePort }: Pick<DevOptions, 'masters' | 'agents' | 'basePort'>): number {
  return basePort + stride * (Math.max(masters, agents) - 1) + 4;
}

/**
 * Masters m1, m2, … at base, base + 10, … (API, then peers, HTTP and, two further, joining); agents agent-1, … with HTTP at
 * base + 3, base + 13, …
 */
export function devPlan(options: DevOptions): readonly DevProcess[] {
  const members = Array.from({ length: options.masters }, (_, at) => {
    const port = options.basePort + stride * at;
    return { name: `m${at + 1}`, port, api: local(port), peer: local(port + 1) };
  });
  const masters = members.map(({ name, port, api, peer }): DevProcess => {
    const dataDir = join(options.dataDir, name);
    const tls = devTls(options, name);
    const args = [
      ...['master', '--name', name, '--cluster-id', 'dev', '--data-dir', dataDir],
      ...['--listen', api, '--peer-listen', peer, '--http-listen', local(port + 2), '--log-format', 'json'],
      ...members.flatMap((member) => ['--member', `${member.name}=${member.peer}`]),
      ...devNetwork,
      ...(tls === undefined ? [] : ['--tls', tls, '--tls-ca-key', devAuthority(options).key]),
      ...(tls === undefined ? [] : ['--join-listen', local(port + 4)]),
    ];
    const ports = [port, port + 1, ...(tls === undefined ? [] : [port + 4]), port + 2];
    return { kind: 'master', name, args, tls, ports, api, dataDir, log: logOf(options, name) };
  });
  const agents = Array.from({ length: options.agents }, (_, at): DevProcess => {
    const name = `agent-${at + 1}`;
    const port = options.basePort + stride * at + 3;
    const dataDir = join(options.dataDir, name);
    const tls = devTls(options, name);
    const args = [
      ...['agent', '--id', name, '--node-ip', `10.0.0.${at + 1}`, '--network', 'plan'],
      ...['--master', members.map(({ api }) => api).join(','), '--state-dir', dataDir],
      ...['--http-listen', local(port), '--log-format', 'json'],
      ...(tls === undefined ? [] : ['--tls', tls]),
    ];
    return { kind: 'agent', name, args, tls, ports: [port], api: undefined, dataDir, log: logOf(options, name) };
  });
  return [...masters, ...agents];
}

/** The authority of the cluster: its folder, and its key. */
export function devAuthority({ dataDir }: Pick<DevOptions, 'dataDir'>) {
  const folder = join(dataDir, 'tls');
  return { folder, key: join(folder, 'ca.key') };
}

/** The folder with the certificate of a process, or of `devAdmin`; undefined: without TLS. */
export function devTls(options: DevOptions, name: string): string | undefined {
  return options.insecure ? undefined : join(devAuthority(options).folder, name);
}

/** The identity with which a person looks at the cluster, and changes it. */
export const devAdmin = 'admin';

/** DC/OS's own network, dual stack. */
const devNetwork = [
  ...['--vtep-subnet', '44.128.0.0/20', '--vtep-subnet6', 'fd01:a::/64', '--vtep-mac-oui', '70:b3:d5:00:00:00'],
  ...['--overlay', 'name=dcos,subnet=9.0.0.0/8,prefix=24', '--overlay', 'name=dcos6,subnet6=fd01:b::/64,prefix6=80'],
];

function local(port: number): string {
  return `127.0.0.1:${port}`;
}

function logOf({ dataDir }: DevOptions, name: string): string {
  return join(dataDir, 'log', `${name}.log`);
}
