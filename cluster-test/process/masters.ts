/** Real masters as processes of their own on loopback, with their data in a temporary folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Suite } from 'mocha';
import { MasterClient, type MasterClientOptions } from '#api/master-client.js';
import { clusterService } from '#api/services.js';
import { Child, type ChildOptions } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { sublet as proto } from '#proto/sublet.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import type { Role } from '#tls/principal.js';
import type { TestAuthority } from '#tls/testing/test-authority.js';

const startBoundMs = 45_000;

export type MastersOptions = {
  readonly count: number;
  /** A `--config` file for all; its `network` is the first plan. */
  readonly config: string;
  /** More flags for each. */
  readonly flags?: readonly string[];
  /** For the processes, beside what this one has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Program and arguments to put before each master, such as `prlimit --nofile=128`. */
  readonly prefix?: readonly string[];
  /** Where the data goes; default: a temporary folder, deleted at the end. */
  readonly folder?: string;
  /** Gives each master a certificate of its name; its ports are behind TLS then. */
  readonly authority?: TestAuthority;
};

export type MasterProcess = {
  readonly name: string;
  /** HOST:PORT of the API. */
  readonly api: string;
  readonly http: string;
  readonly dataDir: string;
  readonly args: readonly string[];
  child: Child;
};

export type JoiningMaster = MasterProcess & { readonly peer: string };

/** The flags that give a process this identity; none without an authority. */
async function tlsFlags({ authority }: MastersOptions, folder: string, uri: string): Promise<readonly string[]> {
  if (authority === undefined) return [];
  const { ca, cert, key } = await authority.files(join(folder, `tls-${uri.split('/').at(-1)}`), uri);
  return ['--tls-ca', ca, '--tls-cert', cert, '--tls-key', key];
}

/** HOST:PORT where it listens for its peers. */
export function peerOf({ args }: MasterProcess): string {
  return args[args.indexOf('--peer-listen') + 1] ?? '';
}

/** For tests that start masters of their own: starts some, and shows at the end of a test that failed what they said. */
export function shownMasters(suite: Suite): (options: MastersOptions) => Promise<Masters> {
  const started: Masters[] = [];
  suite.afterEach('shows what masters said', function () {
    const all = started.splice(0).flatMap(({ masters }) => masters);
    showOnFailure(this, all);
  });
  return async (options) => {
    const masters = await Masters.start(options);
    started.push(masters);
    return masters;
  };
}

export class Masters implements AsyncDisposable {
  readonly folder: string;
  readonly #options: MastersOptions;
  readonly #masters: MasterProcess[];
  #viewer: ReturnType<Masters['credentials']> | undefined;

  private constructor(folder: string, options: MastersOptions, masters: readonly MasterProcess[]) {
    this.folder = folder;
    this.#options = options;
    this.#masters = [...masters];
  }

  /** Starts them all and waits until each is ready. */
  static async start(options: MastersOptions): Promise<Masters> {
    const { env = {}, prefix = [] } = options;
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'sublet-masters-'));
    const ports = await freePorts(options.count * 3);
    const port = (at: number): string => `127.0.0.1:${ports[at]}`;
    const members = Array.from({ length: options.count }, (_, at) => ({ name: `m${at + 1}`, peer: port(at * 3 + 1) }));
    const certificates = await Promise.all(
      members.map(({ name }) => tlsFlags(options, folder, `sublet://master/${name}`)),
    );
    const masters = members.map(({ name, peer }, at) => {
      const dataDir = join(folder, name);
      const args = [
        ...['master', '--config', options.config, '--name', name, '--data-dir', dataDir],
        ...['--listen', port(at * 3), '--peer-listen', peer, '--http-listen', port(at * 3 + 2)],
        ...['--cluster-id', 'test'],
        ...members.flatMap((member) => ['--member', `${member.name}=${member.peer}`]),
        ...(options.flags ?? []),
        ...(certificates[at] ?? []),
      ];
      return {
        name,
        api: port(at * 3),
        http: port(at * 3 + 2),
        dataDir,
        args,
        child: new Child(args, { env, prefix }),
      };
    });
    const cluster = new Masters(folder, options, masters);
    try {
      await cluster.ready();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get #process(): Pick<ChildOptions, 'env' | 'prefix'> {
    const { env = {}, prefix = [] } = this.#options;
    return { env, prefix };
  }

  get masters(): readonly MasterProcess[] {
    return this.#masters;
  }

  /** Starts one more, which waits until it is added to the cluster of those that are there. */
  join(name: string): Promise<JoiningMaster> {
    const peers = this.masters.map((master) => peerOf(master)).join(',');
    return this.launch(name, join(this.folder, name), ['--cluster-id', 'test', '--join', peers]);
  }

  /** Starts one more with these flags, on ports of its own. */
  async launch(name: string, dataDir: string, flags: readonly string[]): Promise<JoiningMaster> {
    const [api, peer, http] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    if (api === undefined || peer === undefined || http === undefined) throw new RangeError('three ports are needed');
    const args = [
      ...['master', '--config', this.#options.config, '--name', name, '--data-dir', dataDir],
      ...['--listen', api, '--peer-listen', peer, '--http-listen', http],
      ...flags,
      ...(this.#options.flags ?? []),
      ...(await tlsFlags(this.#options, this.folder, `sublet://master/${name}`)),
    ];
    const master = { name, api, http, dataDir, args, peer, child: new Child(args, this.#process) };
    this.#masters.push(master);
    return master;
  }

  /** API addresses, all masters. */
  get addresses(): string[] {
    return this.masters.map(({ api }) => api);
  }

  /** Waits until the named masters (default: all) say that they are ready. */
  async ready(masters: readonly MasterProcess[] = this.masters, boundMs = startBoundMs): Promise<void> {
    for (const master of masters) {
      try {
        await until(`${master.name} ready`, boundMs, async () => {
          if (!master.child.running) throw new Error(`${master.name} has ended`);
          return holds((await fetch(`http://${master.http}/readyz`)).ok);
        });
      } catch (error) {
        throw new Error(`${master.name} is not ready; it said:\n${master.child.output}`, { cause: error });
      }
    }
  }

  /** What a client of this role and id needs to be one; empty without an authority. */
  async credentials(role: Role, id: string): Promise<Pick<MasterClientOptions, 'credentials'>> {
    const { authority } = this.#options;
    if (authority === undefined) return {};
    const files = await authority.files(join(this.folder, 'clients', `${role}-${id}`), `sublet://${role}/${id}`);
    return { credentials: masterCredentials(readTlsFiles(files, [role])) };
  }

  /** What one master says of the cluster. */
  async status(master: MasterProcess): Promise<proto.v1.GetStatusResponse> {
    this.#viewer ??= this.credentials('viewer', 'test');
    const client = new MasterClient({ masters: [master.api], timeoutMs: 2_000, ...(await this.#viewer) });
    try {
      return await client.call(clusterService.getStatus, {}, { idempotent: true });
    } finally {
      client.close();
    }
  }

  /** The master that leads by its own account, once there is one. */
  async leader(boundMs = 30_000): Promise<MasterProcess> {
    return until('a leader', boundMs, async () => {
      for (const master of this.masters.filter(({ child }) => child.running)) {
        const status = await this.status(master).catch(() => undefined); // One that is dead or starting can't say.
        if (status?.role === proto.v1.MemberRole.MEMBER_ROLE_LEADER) return master;
      }
      return undefined;
    });
  }

  /** Starts a master again that has ended, with its own data, and with these flags beside its own. */
  restart(master: MasterProcess, flags: readonly string[] = []): void {
    if (master.child.running) throw new Error(`${master.name} still runs`);
    master.child = new Child([...master.args, ...flags], this.#process);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.masters.map(({ child }) => child.kill()));
    if (this.#options.folder === undefined) rmSync(this.folder, { recursive: true, force: true });
  }
}
