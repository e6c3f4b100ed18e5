/** The Docker engine of this host: its bridge networks, and making and removing them. */

import { z } from 'zod';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { type DockerEngineFacts, type DockerNetworkRequest, dockerVersion } from '#host/desired/desired-docker.js';
import { dockerLabel } from '#host/desired/marks.js';
import type { ObservedDocker, ObservedDockerNetwork } from '#host/observe/observed.js';
import { type DockerApi, DockerHttp, type DockerHttpOptions, DockerStatusError } from '#host/tools/docker-http.js';

export type DockerEngine = {
  /** Never rejects: an engine that does not answer is `unreadable`. */
  observe(): Promise<ObservedDocker>;
  /** Rejects with the engine's reason, or with the remedy where it gives no whole answer. */
  create(request: DockerNetworkRequest): Promise<void>;
  remove(id: string): Promise<void>;
};

export const localDocker = 'unix:///var/run/docker.sock';

/** No Docker network is desired here, so the engine is not asked. */
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

/** The engine at `host`: `unix:///path` or `tcp://HOST:PORT`. */
export function dockerEngine(host: string = localDocker, options: DockerHttpOptions = {}): DockerEngine {
  /** Asked each time: an engine may be replaced by one of another version while the agent runs. */
  const negotiated = () => new DockerHttp(host, options).version();
  const silence = (error: unknown) => `Docker does not answer at ${host} (${errorText(error)}): ${remedy}`;
  const change = async (run: (api: DockerApi) => Promise<unknown>): Promise<void> => {
    try {
      const { api } = await negotiated();
      await run(api);
    } catch (error) {
      throw error instanceof DockerStatusError ? error : new Error(silence(error), { cause: error });
    }
  };
  return {
    async observe() {
      try {
        return await observeDocker(await negotiated());
      } catch (error) {
        const answer = silence(error);
        const socket = /^unix:\/\/(.+)$/.exec(host)?.[1];
        const isMissing = errorCode(error) === 'ENOENT';
        return { kind: 'unreadable', error: answer, ...(isMissing && socket !== undefined ? { socket } : {}) };
      }
    },
    create: (request) => change((api) => api('POST', '/networks/create', request)),
    remove: (id) => change((api) => api('DELETE', networkPath(id))),
  };
}

const remedy = 'start Docker, say where it is with --docker-host, or set network_config.docker_bridge to false';

const versionShape = z.object({ Version: z.string() });

async function observeDocker({ answer, api }: { answer: unknown; api: DockerApi }): Promise<ObservedDocker> {
  const { Version } = versionShape.parse(answer);
  const listed = await api('GET', '/networks');
  const networks = z.array(networkShape).parse(listed);
  // The list leaves out the containers; only networks that may be ours need them.
  const ours = networks.filter(({ Labels }) => Labels?.[dockerLabel.cluster] !== undefined);
  const whole = await Promise.all(ours.map(({ Id }) => inspect(api, Id)));
  const all = [...networks.filter((network) => !ours.includes(network)), ...whole.filter((one) => one !== undefined)];
  return {
    kind: 'read',
    engine: await engineFacts(api, Version),
    networks: new Map(all.map((one) => [one.Name, observed(one)])),
  };
}

const infoShape = z.object({ FirewallBackend: z.object({ Driver: z.string() }).nullish() });

/** Only engines from 28 on report where they write their rules, and may write them to nftables. */
async function engineFacts(api: DockerApi, text: string): Promise<DockerEngineFacts> {
  const version = dockerVersion(text);
  if (version[0] < 28) return { version, firewall: 'iptables' };
  const { FirewallBackend } = infoShape.parse(await api('GET', '/info'));
  return { version, firewall: FirewallBackend?.Driver.startsWith('nftables') ? 'nftables' : 'iptables' };
}

/** Undefined for a network that was removed since it was listed. */
async function inspect(api: DockerApi, id: string) {
  try {
    return networkShape.parse(await api('GET', networkPath(id)));
  } catch (error) {
    if (error instanceof DockerStatusError && error.status === 404) return undefined;
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

function networkPath(id: string): string {
  return `/networks/${encodeURIComponent(id)}`;
}
