/**
 * Hosts as network namespaces on one underlay bridge, which stands in a namespace of its own, so that nothing is made
 * in the machine's. Everything is gone at the end of the process, also when a test fails, throws or is interrupted;
 * what a run left that was killed outright, the next one takes away.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

export type RunResult = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

const prefix = 'sublet';
const folder = '/run/netns';
let counter = 0;

/** Undone in reverse order when the process ends. */
const undo: (() => void)[] = [];
let isArmed = false;

/** Registers what must be undone, whatever happens; returns a function that does it now. Must be synchronous. */
export function atEnd(what: () => void): () => void {
  arm();
  const once = () => {
    const at = undo.indexOf(once);
    if (at >= 0) undo.splice(at, 1);
    what();
  };
  undo.push(once);
  return once;
}

function arm(): void {
  if (isArmed) return;
  isArmed = true;
  process.once('exit', () => {
    for (const what of [...undo].reverse()) {
      try {
        what();
      } catch (error) {
        console.error(`while cleaning up: ${error}`);
      }
    }
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  sweep();
}

/** Takes away namespaces of runs that no longer live. */
function sweep(): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}

function removeNamespace(name: string): void {
  const pids = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
  for (const pid of pids) {
    if (Number(pid) !== process.pid) spawnSync('kill', ['-9', pid]);
  }
  spawnSync('ip', ['netns', 'del', name]);
}

/** A network namespace; commands run in it by `nsenter`, which leaves mounts and control groups as they are. */
export class Netns {
  readonly name: string;
  readonly path: string;
  readonly remove: () => void;

  constructor(role: string) {
    this.name = `${prefix}-${process.pid}-${counter++}-${role}`;
    this.path = `${folder}/${this.name}`;
    this.remove = atEnd(() => removeNamespace(this.name));
    execFileSync('ip', ['netns', 'add', this.name]);
    this.sh('ip link set lo up');
  }

  /** Words to put before a command. */
  get enter(): readonly string[] {
    return ['nsenter', `--net=${this.path}`];
  }

  /** Runs a command line to its end, synchronously; throws with its output if it fails. */
  sh(line: string): string {
    const { status, stdout, stderr } = spawnSync('nsenter', [`--net=${this.path}`, 'sh', '-c', line], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(`in ${this.name}: "${line}" failed (${status}): ${stdout}${stderr}`);
    return stdout;
  }

  /** Runs a command to its end; never rejects for its exit code. */
  run(command: readonly string[], options: { input?: string; env?: Record<string, string> } = {}): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      const [program = '', ...args] = [...this.enter, ...command];
      const child = spawn(program, args, { env: { ...process.env, ...options.env } });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (bytes: Buffer) => {
        stdout += bytes.toString();
      });
      child.stderr.on('data', (bytes: Buffer) => {
        stderr += bytes.toString();
      });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stdout, stderr }));
      child.stdin.on('error', () => child.stdin.destroy());
      child.stdin.end(options.input ?? '');
    });
  }
}

/** The underlay: a bridge that hosts are plugged into. */
export class Underlay {
  readonly #switch = new Netns('switch');
  readonly #hosts: Netns[] = [];

  constructor() {
    this.#switch.sh('ip link add underlay type bridge && ip link set underlay up');
  }

  /** A host with `eth0` on the underlay, and the outside world as its default gateway where one is given. */
  host(role: string, cidr: string, gateway?: string): Netns {
    const host = new Netns(role);
    const port = `p${this.#hosts.push(host)}`;
    this.#switch.sh(
      `ip link add ${port} type veth peer name eth0 netns ${host.name} && ip link set ${port} master underlay up`,
    );
    const nodad = cidr.includes(':') ? ' nodad' : '';
    host.sh(`ip address add ${cidr} dev eth0${nodad} && ip link set eth0 up`);
    if (gateway !== undefined) host.sh(`ip route add default via ${gateway}`);
    return host;
  }

  remove(): void {
    for (const host of [...this.#hosts].reverse()) host.remove();
    this.#switch.remove();
  }
}
