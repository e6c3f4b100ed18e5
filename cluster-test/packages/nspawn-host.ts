/**
 * A host that systemd boots: a Debian made by mmdebstrap, in a container of systemd-nspawn and a network namespace of a
 * test. What it writes lies in a layer of its own, so several hosts boot from one folder.
 *
 * systemd of Debian 13 runs on control groups of version 2 alone. The container gets that hierarchy in place of the machine's,
 * with whatever controllers the machine has in it; without any, limits of memory and tasks are set and not enforced.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, type Netns, type RunResult } from '#cluster-test/host/netns.js';
import { Child } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { command, type Requirement, root } from '#cluster-test/requirement.js';

export const nspawnTools: readonly Requirement[] = [
  root,
  ...['systemd-nspawn', 'mmdebstrap', 'unshare', 'nsenter', 'ip'].map(command),
];

const suites = { 12: 'bookworm', 13: 'trixie' } as const;
export type DebianRelease = keyof typeof suites;

/** What a host has before the package: systemd, and the tools of networks that the package recommends. */
const installed = 'systemd,systemd-sysv,dbus,iproute2,iptables,ipset,iputils-ping,procps,kmod';
const bootBoundMs = 60_000;
/** Where hosts see the folder of packages. */
export const packagesAt = '/packages';

/** Makes the file system of a release, from Debian's mirror, with further packages. */
export function makeRoot(release: DebianRelease, folder: string, packages: readonly string[] = []): void {
  const include = [installed, ...packages].join(',');
  execFileSync('mmdebstrap', ['--quiet', '--variant=minbase', `--include=${include}`, suites[release], folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Words: $1 the folder of this host, $2 the file system that it begins with, $3 its name; then nspawn's own. */
const boot = `
set -e
mount --make-rprivate /
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$3" "$1/upper" "$1/work" "$1/root"
echo $$ > "/sys/fs/cgroup/$3/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
directory=$1/root machine=$3
shift 3
exec systemd-nspawn --quiet --directory="$directory" --machine="$machine" --boot --register=no --keep-unit \\
  --kill-signal=SIGRTMIN+3 --console=pipe "$@"`;
const removeGroups = `
umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
if [ -d "/sys/fs/cgroup/$1" ]; then find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +; fi`;

export type NspawnHostOptions = {
  /** Its `eth0` becomes that of the host. */
  readonly net: Netns;
  /** ADDRESS/PREFIX of that device. */
  readonly address: string;
  /** From `makeRoot`. */
  readonly root: string;
  /** Holds the layers of hosts. */
  readonly folder: string;
  /** Seen by the host at `packagesAt`, not to be written there. */
  readonly packages: string;
};

export class NspawnHost {
  readonly #net: Netns;
  readonly #machine: string;
  readonly #folder: string;
  readonly #nspawn: Child;
  readonly #forget: () => void;
  #init = 0;

  private constructor({ net, root, folder, packages }: NspawnHostOptions) {
    this.#net = net;
    this.#machine = net.name;
    this.#folder = mkdtempSync(join(folder, 'host-'));
    // A network namespace that nspawn has made itself is the only one in which the host may change the kernel's settings.
    const options = ['--private-network', `--bind-ro=${packages}:${packagesAt}`];
    const words = ['--mount', 'sh', '-c', boot, 'sh', this.#folder, root, this.#machine, ...options];
    this.#nspawn = new Child(words, { command: ['unshare'] });
    this.#forget = atEnd(() => this.#sweep());
  }

  /** Resolves once systemd has started everything. */
  static async boot(options: NspawnHostOptions): Promise<NspawnHost> {
    const host = new NspawnHost(options);
    await until(`${options.net.name} has booted`, bootBoundMs, async () => {
      if (!host.#nspawn.running) throw new Error(host.#nspawn.output);
      host.#init = host.#firstChild();
      const { stdout } = await host.run(['systemctl', 'is-system-running']);
      return /^(running|degraded)$/m.test(stdout) ? true : undefined;
    });
    options.net.sh(`ip link set eth0 netns ${host.#init}`);
    await host.sh(`ip address add ${options.address} dev eth0 && ip link set eth0 up`);
    return host;
  }

  /** Runs a command in it to its end; never rejects for its exit code. */
  run(words: readonly string[], input = ''): Promise<RunResult> {
    return this.#net.run(
      [
        ...['nsenter', '--target', String(this.#init), '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'],
        ...['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8'],
        ...words,
      ],
      { input },
    );
  }

  /** As `run`, for a line of a shell. @throws Error with the output when it fails */
  async sh(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(['sh', '-c', line]);
    if (code !== 0) throw new Error(`on ${this.#machine}: "${line}" failed (${code}): ${stdout}${stderr}`);
    return stdout;
  }

  async write(path: string, text: string): Promise<void> {
    const { code, stderr } = await this.run(['tee', path], text);
    if (code !== 0) throw new Error(`on ${this.#machine}: ${path} can't be written: ${stderr}`);
  }

  async remove(): Promise<void> {
    if (this.#nspawn.running) {
      await this.run(['systemctl', 'poweroff', '--force', '--force']);
      await this.#nspawn.stop();
    }
    this.#forget();
  }

  #firstChild(): number {
    const { pid } = this.#nspawn;
    const [first = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    if (first === '') throw new Error('systemd-nspawn has started nothing yet');
    return Number(first);
  }

  #sweep(): void {
    spawnSync('unshare', ['--mount', 'sh', '-c', removeGroups, 'sh', this.#machine], { stdio: 'ignore' });
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
