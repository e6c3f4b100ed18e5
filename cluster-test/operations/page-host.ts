/**
 * A host on which the blocks of a page are run as they stand: a network namespace on an underlay, with folders and a name of
 * its own. It has no systemd: in place of `systemctl`, `scp` and `apt` there are scripts that do what these lines of the
 * pages come to here.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Netns, RunResult } from '#cluster-test/host/netns.js';
import { Child, subletMain } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';

const units = fileURLToPath(new URL('../../../deploy/systemd', import.meta.url));
const bootBoundMs = 20_000;

/**
 * $1: the folder of this host, $2: its name. Its own are /etc, /var/lib, /run and the home of root, each what the machine
 * has with a layer above it that goes with the namespace.
 */
const boot = `
set -e
mount --make-rprivate /
hostname "$2"
mount -t tmpfs tmpfs "$1"
for place in etc var/lib; do
  mkdir -p "$1/$place" "$1/work/$place"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/$place,workdir=$1/work/$place" "/$place"
done
mount -t tmpfs tmpfs /run
mkdir -p "$1/home" /etc/sublet /etc/cni /var/lib/cni
echo 'sublet:x:64099:64099::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'sublet:x:64099:' >> /etc/group
install -d -m 0700 -o sublet -g sublet /var/lib/sublet
install -d -m 0700 /var/lib/sublet-agent
echo booted
exec sleep infinity`;

/**
 * `systemctl VERB [OPTION…] UNIT…` for the units of Sublet. As systemd does for them, it waits until what it starts is
 * ready, here for as long as a busy machine may take.
 */
const systemctl = `#!/bin/sh
verb=$1
shift
for unit in "$@"; do
  case $unit in -*) continue ;; esac
  if [ "$verb" = stop ] || [ "$verb" = restart ]; then
    pid=$(cat "/run/$unit.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
  fi
  [ "$verb" = stop ] && continue
  command=$(sed -n 's|^ExecStart=.*/sublet |sublet |p' "${units}/$unit.service")
  setsid sh -c "echo \\$\\$ > /run/$unit.pid; exec $command" > "/run/$unit.log" 2>&1 < /dev/null &
  case $unit in sublet-master) port=7072 ;; *) port=7073 ;; esac
  node -e "$READY" "$port"
done`;
const ready = `
const end = Date.now() + 90_000;
const look = () => fetch('http://127.0.0.1:' + process.argv[1] + '/readyz').then(({ ok }) => ok, () => false);
while (!(await look()) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
`;

/** `scp -r FOLDER root@HOST:PATH`, where HOST is the name of another host. */
const scp = `#!/bin/sh
set -e
to=\${3#root@}
tar -C "$2" -c . | nsenter --target "$(cat "$HOSTS/\${to%%:*}.pid")" --mount sh -c "mkdir -p '\${to#*:}' && tar -C '\${to#*:}' -x"`;

export type PageHostOptions = {
  readonly name: string;
  readonly net: Netns;
  /** The same for all hosts of a page. */
  readonly folder: string;
};

export class PageHost {
  readonly name: string;
  readonly #net: Netns;
  readonly #folder: string;
  readonly #holder: Child;

  private constructor({ name, net, folder }: PageHostOptions) {
    this.name = name;
    this.#net = net;
    this.#folder = folder;
    const own = join(folder, name);
    mkdirSync(own);
    writePrograms(join(folder, 'bin'));
    const words = ['--mount', '--uts', 'sh', '-c', boot, 'sh', own, name];
    this.#holder = new Child(words, { prefix: net.enter, command: ['unshare'] });
  }

  static async boot(options: PageHostOptions): Promise<PageHost> {
    const host = new PageHost(options);
    await until(`${host.name} has booted`, bootBoundMs, () => {
      if (!host.#holder.running) throw new Error(host.#holder.output);
      return host.#holder.output.includes('booted') ? true : undefined;
    });
    writeFileSync(join(options.folder, `${host.name}.pid`), String(host.#holder.pid));
    return host;
  }

  /** Runs a script of a shell, which ends with its first line that fails. Returns what it wrote. @throws Error with all of it */
  async sh(script: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(script);
    if (code !== 0) throw new Error(`on ${this.name} (${code}):\n${script}\n${stdout}${stderr}`);
    return stdout;
  }

  /** As `sh`; never rejects for the exit code. */
  run(script: string): Promise<RunResult> {
    const path = [join(this.#folder, 'bin'), dirname(process.execPath), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
    const env = [
      ...[`PATH=${path.join(':')}`, `HOME=${join(this.#folder, this.name, 'home')}`, 'LC_ALL=C.UTF-8'],
      ...[`HOSTS=${this.#folder}`, `READY=${ready}`],
    ];
    return this.#net.run(
      [
        ...['nsenter', '--target', String(this.#holder.pid), '--mount', '--uts', 'env', '-i', ...env],
        ...['sh', '-ec', `cd\n${script}`],
      ],
      {},
    );
  }

  /** What its units wrote. */
  async logs(): Promise<string> {
    return (await this.run('tail -n 40 /run/sublet-*.log')).stdout;
  }

  async remove(): Promise<void> {
    if (this.#holder.running) await this.#holder.kill();
    this.#net.remove();
  }
}

function writePrograms(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const programs = { systemctl, scp, apt: '#!/bin/sh', sublet: `#!/bin/sh\nexec node ${subletMain} "$@"` };
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `${text}\n`);
    chmodSync(join(folder, name), 0o755);
  }
}
