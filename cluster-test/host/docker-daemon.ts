/** A real dockerd in a host's namespace, with folders of its own and an image made of busybox. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Endpoint } from '#cluster-test/host/endpoint.js';
import { atEnd, type Netns } from '#cluster-test/host/netns.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { holds, until } from '#cluster-test/process/condition.js';

const startBoundMs = 45_000;
const stopBoundMs = 30_000;
const answerBoundMs = 5_000;
/** Debian's client; another one on PATH may be of another version than the engine. */
const client = '/usr/bin/docker';

export class DockerDaemon {
  /** For the agent: `unix:///…`. */
  readonly address: string;
  readonly #host: Netns;
  readonly #folder: string;
  readonly #env: Record<string, string>;
  readonly #removeFolder: () => void;
  #forget: () => void = () => {};

  private constructor(host: Netns, env: Record<string, string>) {
    const { folder, remove } = testFolder('docker');
    this.#host = host;
    this.#folder = folder;
    this.#removeFolder = remove;
    this.#env = env;
    this.address = `unix://${join(folder, 'docker.sock')}`;
  }

  /** `env` may hold a PATH on which `iptables` is another one. */
  static async start(host: Netns, env: Record<string, string> = {}): Promise<DockerDaemon> {
    const docker = new DockerDaemon(host, env);
    docker.#forget = atEnd(() => docker.#clear());
    await docker.start();
    docker.#importImage();
    return docker;
  }

  get folder(): string {
    return this.#folder;
  }

  async start(): Promise<void> {
    const at = (name: string) => join(this.#folder, name);
    const args = ['--data-root', at('data'), '--exec-root', at('exec'), '-p', at('pid'), '-H', this.address];
    const [program = '', ...enter] = this.#host.enter;
    const child = spawn(program, [...enter, 'dockerd', ...args], { env: { ...process.env, ...this.#env } });
    let said = '';
    child.stderr.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-5_000);
    });
    const ready = await until('dockerd ready', startBoundMs, () => {
      if (child.exitCode !== null) return false;
      // An engine that takes the call and hangs would hold up this process, and with it the bound.
      const asked = spawnSync(client, ['-H', this.address, 'version'], { encoding: 'utf8', timeout: answerBoundMs });
      if (asked.status !== 0) throw new Error(`${asked.stderr}; it said:\n${said}`);
      return true;
    });
    if (!ready) throw new Error(`dockerd ended with ${child.exitCode}; it said:\n${said}`);
  }

  /** Ends the daemon, containers included, and waits for it. */
  async stop(): Promise<void> {
    const pid = this.#pid();
    if (pid === undefined) return;
    process.kill(pid, 'SIGTERM');
    await until('dockerd gone', stopBoundMs, () => holds(!existsSync(`/proc/${pid}`)));
  }

  /** Ends it and removes all it had. */
  async remove(): Promise<void> {
    this.#removeContainers();
    await this.stop();
    this.#forget();
  }

  docker(...args: readonly string[]): string {
    return execFileSync(client, ['-H', this.address, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Starts a container on `network` that does nothing but be there. */
  async container(name: string, network: string, options: readonly string[] = []): Promise<Endpoint> {
    this.docker(
      'run',
      '-d',
      '--name',
      name,
      '--network',
      network,
      ...options,
      'busybox',
      '/bin/busybox',
      'sleep',
      '3600',
    );
    const inspected = JSON.parse(this.docker('inspect', name))[0];
    const { IPAddress, GlobalIPv6Address } = inspected.NetworkSettings.Networks[network];
    const endpoint = new Endpoint(name, `/proc/${inspected.State.Pid}/ns/net`, GlobalIPv6Address || IPAddress);
    await endpoint.ready;
    return endpoint;
  }

  /** Nothing can be pulled here: the image is a tree with busybox in it. */
  #importImage(): void {
    const tree = join(this.#folder, 'tree');
    mkdirSync(join(tree, 'bin'), { recursive: true });
    cpSync('/bin/busybox', join(tree, 'bin/busybox'), { dereference: true });
    symlinkSync('busybox', join(tree, 'bin/sh'));
    const archive = execFileSync('tar', ['-C', tree, '-c', '.'], { maxBuffer: 64 * 1024 * 1024 });
    execFileSync(client, ['-H', this.address, 'import', '-', 'busybox'], { input: archive });
  }

  #pid(): number | undefined {
    const file = join(this.#folder, 'pid');
    const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
    return pid !== undefined && existsSync(`/proc/${pid}`) ? pid : undefined;
  }

  #removeContainers(): void {
    const { stdout } = spawnSync(client, ['-H', this.address, 'ps', '-aq'], { encoding: 'utf8' });
    const ids = (stdout ?? '').split('\n').filter(Boolean);
    if (ids.length > 0) spawnSync(client, ['-H', this.address, 'rm', '-f', ...ids], { stdio: 'ignore' });
  }

  /** The synchronous end, for when the process is about to go. */
  #clear(): void {
    if (this.#pid() !== undefined) this.#removeContainers();
    this.#removeFolder();
  }
}
