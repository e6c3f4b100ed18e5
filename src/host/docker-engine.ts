/**
 * The Docker engine of this host, by dockerode: its bridge networks, and making and removing them. The package is
 * loaded with the first question, so that a host without Docker does not carry it.
 */
import { z } from 'zod';
import { type DockerEngineFacts, type DockerNetworkRequest, dockerVersion } from '#host/desired-docker.js';
import { dockerLabel } from '#host/marks.js';
import type { ObservedDocker, ObservedDockerNetwork } from '#host/observed.js';

export interface DockerEngine {
  /** Never rejects: an engine that does not answer is `unreadable`. */
  observe(): Promise<ObservedDocker>;
  create(request: DockerNetworkRequest): Promise<void>;
  remove(id: string): Promise<void>;
}

export const localDocker = 'unix:///var/run/docker.sock';
/** A healthy engine answers in a few milliseconds; a hung one must not hold up the other parts. */
const answerTimeoutMs = 5_000;

/** No Docker network is wanted here, so nobody asks. */
export const noDocker: DockerEngine = {
  observe: async () => ({ kind: 'unasked' }),
  create: () => Promise.reject(new Error('no Docker engine was given')),
  remove: () => Promise.reject(new Error('no Docker engine was given')),
};

const networkShape = z.object({
  Id: z.string(),
  Name: z.string(),
  Driver: z.string(),
  IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Containers: z.record(z.string(), z.object({ Name: z.string().optional() })).nullish(),
});

/** The engine at `host`: `unix:///path`, `tcp://HOST:PORT`, `http://…`. */
export function dockerEngine(host: string = localDocker): DockerEngine {
  const connect = async () => new (await import('dockerode')).default({ ...optionsOf(host), timeout: answerTimeoutMs });
  let connection: ReturnType<typeof connect> | undefined;
  const docker = () => {
    connection ??= connect();
    return connection;
  };
  return {
    async observe() {
      try {
        return await observeDocker(await docker());
      } catch (error) {
        return { kind: 'unreadable', error: `Docker does not answer at ${host} (${message(error)}): ${remedy}` };
      }
    },
    async create(request) {
      await (await docker()).createNetwork(request);
    },
    async remove(id) {
      await (await docker()).getNetwork(id).remove();
    },
  };
}

const remedy = 'start Docker, say where it is with --docker-host, or set network_config.docker_bridge to false';

function optionsOf(host: string) {
  const path = /^unix:\/\/(.+)$/.exec(host)?.[1];
  if (path !== undefined) return { socketPath: path };
  const url = new URL(host.replace(/^tcp:/, 'http:'));
  const protocol = url.protocol === 'https:' ? ('https' as const) : ('http' as const);
  return { protocol, host: url.hostname, port: Number(url.port || 2375) };
}

async function observeDocker(docker: InstanceType<typeof import('dockerode')>): Promise<ObservedDocker> {
  const [version, listed] = await Promise.all([docker.version(), docker.listNetworks()]);
  const { Version } = z.object({ Version: z.string() }).parse(version);
  const networks = z.array(networkShape).parse(listed);
  // The list leaves out the containers; only networks that may be ours need them.
  const ours = networks.filter(({ Labels }) => Labels?.[dockerLabel.cluster] !== undefined);
  const whole = await Promise.all(ours.map(({ Id }) => inspect(docker, Id)));
  const all = [...networks.filter((network) => !ours.includes(network)), ...whole.filter((one) => one !== undefined)];
  return {
    kind: 'read',
    engine: await engineFacts(docker, Version),
    networks: new Map(all.map((one) => [one.Name, observed(one)])),
  };
}

const infoShape = z.object({ FirewallBackend: z.object({ Driver: z.string() }).nullish() });

/** Only engines from 28 on tell where they write their rules, and may write them to nftables. */
async function engineFacts(docker: InstanceType<typeof import('dockerode')>, text: string): Promise<DockerEngineFacts> {
  const version = dockerVersion(text);
  if (version[0] < 28) return { version, firewall: 'iptables' };
  const { FirewallBackend } = infoShape.parse(await docker.info());
  return { version, firewall: FirewallBackend?.Driver.startsWith('nftables') ? 'nftables' : 'iptables' };
}

/** Undefined for a network that was removed since it was listed. */
async function inspect(docker: InstanceType<typeof import('dockerode')>, id: string) {
  try {
    return networkShape.parse(await docker.getNetwork(id).inspect());
  } catch (error) {
    if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return undefined;
    throw error;
  }
}

function observed(network: z.infer<typeof networkShape>): ObservedDockerNetwork {
  const mark = network.Labels?.[dockerLabel.cluster];
  return {
    id: network.Id,
    name: network.Name,
    driver: network.Driver,
    subnets: (network.IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet ?? []),
    options: network.Options ?? {},
    ...(mark === undefined ? {} : { mark }),
    containers: Object.values(network.Containers ?? {}).map(({ Name }) => Name ?? '?'),
  };
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
