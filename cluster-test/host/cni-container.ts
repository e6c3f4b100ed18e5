/**
 * A container as a CNI engine makes it: a network namespace attached by the real plugins, with the network file that
 * the agent wrote.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Endpoint } from '#cluster-test/host/endpoint.js';
import { Netns } from '#cluster-test/host/netns.js';

export const cniPluginFolder = '/usr/lib/cni';

type CniResult = {
  readonly ips?: readonly { readonly address: string }[];
};

type Plugin = {
  readonly type: string;
  readonly [key: string]: unknown;
};

/** A port of the host that leads to one of the container, as engines give it to portmap. */
export type PortMapping = {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
};

/** Runs the plugins of a `.conflist` in `host`, one after the other, as the CNI specification says (section 4). */
async function runPlugins(
  host: Netns,
  file: string,
  command: 'ADD' | 'DEL',
  container: Netns,
  portMappings: readonly PortMapping[],
): Promise<CniResult> {
  const { cniVersion, name, plugins }: { cniVersion: string; name: string; plugins: Plugin[] } = JSON.parse(
    readFileSync(file, 'utf8'),
  );
  let result: CniResult = {};
  for (const plugin of command === 'ADD' ? plugins : plugins.toReversed()) {
    const { capabilities: _, ...own } = plugin;
    const runtimeConfig = portMappings.length === 0 ? {} : { portMappings };
    const config = { cniVersion, name, ...own, runtimeConfig, ...(result.ips ? { prevResult: result } : {}) };
    result = (await runPlugin(host, plugin.type, command, container, config)) ?? result;
  }
  return result;
}

async function runPlugin(
  host: Netns,
  type: string,
  command: 'ADD' | 'DEL',
  container: Netns,
  config: object,
): Promise<CniResult | undefined> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: container.name,
    CNI_NETNS: container.path,
    CNI_IFNAME: 'eth0',
    CNI_PATH: cniPluginFolder,
  };
  const { code, stdout, stderr } = await host.run([join(cniPluginFolder, type)], {
    input: JSON.stringify(config),
    env,
  });
  if (code !== 0) throw new Error(`CNI ${type} ${command}: ${stdout}${stderr}`);
  return stdout.trim() === '' ? undefined : JSON.parse(stdout);
}

export class CniContainer {
  readonly netns: Netns;
  readonly endpoint: Endpoint;
  readonly #host: Netns;
  readonly #file: string;
  readonly #ports: readonly PortMapping[];
  #attached = true;

  private constructor(host: Netns, file: string, netns: Netns, endpoint: Endpoint, ports: readonly PortMapping[]) {
    this.netns = netns;
    this.endpoint = endpoint;
    this.#host = host;
    this.#file = file;
    this.#ports = ports;
  }

  /** Attaches a new container on `host` to the network in `file`. */
  static async attach(
    name: string,
    host: Netns,
    file: string,
    ports: readonly PortMapping[] = [],
  ): Promise<CniContainer> {
    const netns = new Netns(name);
    const { ips } = await runPlugins(host, file, 'ADD', netns, ports);
    const address = ips?.[0]?.address.split('/')[0] ?? '';
    const endpoint = new Endpoint(name, netns.path, address);
    await endpoint.ready;
    return new CniContainer(host, file, netns, endpoint, ports);
  }

  /** Idempotent. */
  async detach(): Promise<void> {
    if (!this.#attached) return;
    this.#attached = false;
    await this.endpoint.stop();
    await runPlugins(this.#host, this.#file, 'DEL', this.netns, this.#ports);
    this.netns.remove();
  }
}

/** Runs one plugin alone with a configuration of its own (what Mesos's port mapper delegates to, say). */
export async function attachByPlugin(
  name: string,
  host: Netns,
  config: Plugin,
): Promise<{ netns: Netns; address: string }> {
  const netns = new Netns(name);
  const result = await runPlugin(host, config.type, 'ADD', netns, { cniVersion: '0.3.1', ...config });
  return { netns, address: result?.ips?.[0]?.address.split('/')[0] ?? '' };
}
