/**
 * The output of `sublet dev`: what is started, what was leased, how to look further, and which process ends meanwhile.
 */

import { isAbsolute, resolve } from 'node:path';
import { formatAgents } from '#cli/agent-list.js';
import type { DevDeath } from '#cli/dev/dev-child.js';
import { type DevCluster, startDevCluster } from '#cli/dev/dev-cluster.js';
import {
  type DevOptions,
  type DevProcess,
  devAdmin,
  devDefaults,
  devMax,
  devTls,
  lastPort,
} from '#cli/dev/dev-plan.js';
import { type DevWishes, devOptions } from '#cli/dev/dev-record.js';
import { type RemarkedLine, remarkedLines } from '#cli/dev/remarked-lines.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { noGrpcLogs } from '#cli/process/grpc-log.js';
import { formatTable } from '#cli/table.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { onSignals } from '#runtime/signals.js';
import { formatTime } from '#text/duration.js';

const readyBoundMs = 60_000;
/** As a shell counts the end by SIGINT. */
const interrupted = 130;

export async function runDev(wishes: DevWishes, terminal: Terminal): Promise<void> {
  checkWishes(wishes);
  noGrpcLogs(process.env);
  const options = devOptions(wishes);
  const { masters, agents } = options;
  const dataDir = shown(options.dataDir);
  terminal.write(
    `Starting ${plural(masters, 'master')} and ${plural(agents, 'agent')}; data in ${dataDir}, logs in its log/\n\n`,
  );
  const cluster = await startDevCluster(options, terminal.now(), {
    died: (process, death) => sayDeath(process, death, terminal),
    again: ({ name }, pid) => terminal.write(`  ${name} is started again, with PID ${pid}\n`),
  });
  const stopped = untilStopped(cluster, terminal);
  const state = await Promise.race([cluster.ready(readyBoundMs), stopped]);
  if (state === undefined) return;
  if (state.kind === 'waiting') {
    await cluster.stop();
    throw new Failure(exitCodes.refused, `not ready after ${readyBoundMs / 1_000} s: ${state.missing}`, [
      `The logs in ${dataDir}/log say more.`,
    ]);
  }
  terminal.write(
    `${processes(cluster, state.leader, terminal)}\n${formatAgents(state.agents, terminal)}${state.agents.length > 0 ? planOnly(terminal) : ''}\n`,
  );
  terminal.write(`${further(options, cluster, state.leader, terminal)}\n${terminal.paint('green', 'ready')}\n`);
  await stopped;
}

/** A path that can't be taken for a name: `./sublet-data`. */
function shown(path: string): string {
  return isAbsolute(path) || path.startsWith('.') ? path : `./${path}`;
}

function checkWishes({ masters, agents, basePort }: DevWishes): void {
  const { masters: mastersMax, agents: agentsMax } = devMax;
  if (masters !== undefined && (masters < 1 || masters > mastersMax)) {
    throw usage(`--masters: ${masters} is out of range: 1 to ${mastersMax} is allowed`);
  }
  if (agents !== undefined && agents > agentsMax) {
    throw usage(`--agents: ${agents} is out of range: 0 to ${agentsMax} is allowed`);
  }
  const shape = {
    ...devDefaults,
    ...(masters && { masters }),
    ...(agents && { agents }),
    ...(basePort && { basePort }),
  };
  if (basePort !== undefined && (basePort < 1_024 || lastPort(shape) > 65_535)) {
    throw usage(
      `--base-port: ${basePort} is out of range: 1024 to ${65_535 - (lastPort(shape) - shape.basePort)} is allowed`,
    );
  }
}

/** Resolves when the cluster has stopped, on Ctrl-C or SIGTERM. A second signal leaves the stopping to the children. */
function untilStopped(cluster: DevCluster, terminal: Terminal): Promise<undefined> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const stop = (): void => {
      // The children notice that this process is gone, and stop by themselves.
      if (stopping) process.exit(interrupted);
      stopping = true;
      terminal.write('\nStopping…\n');
      cluster.stop().then(() => {
        terminal.write('Stopped. `sublet dev` goes on where this left off.\n');
        resolve(undefined);
      }, reject);
    };
    onSignals(['SIGINT', 'SIGTERM', 'SIGHUP'], stop);
  });
}

/** Why the table says what it says. */
function planOnly(terminal: Terminal): string {
  const text = 'They change nothing on this host (--network plan), so their overlays are plan only.';
  return `${terminal.paint('dim', wrap(text, terminal))}\n`;
}

function sayDeath({ name, log }: DevProcess, { how, againInMs, lastWords }: DevDeath, terminal: Terminal): void {
  const next =
    againInMs === undefined
      ? 'not started again; Ctrl-C and run again'
      : `starting it again in ${formatTime(againInMs)}`;
  terminal.write(`${terminal.paint('yellow', '!')} ${name} has ended (${how}); ${next}\n`);
  if (/^SIG/.test(how)) return;
  for (const line of lastWords) terminal.write(`${terminal.paint('dim', wrap(`    ${line}`, terminal))}\n`);
  terminal.write(`    all of its log: ${shown(log)}\n`);
}

function processes({ children }: DevCluster, leader: string, terminal: Terminal): string {
  const rows = children.map(({ process: { name, ports, api }, pid }) => [
    name === leader ? { text: `${name} (leader)`, style: 'bold' as const } : name,
    String(pid ?? ''),
    api ?? '-',
    `http://127.0.0.1:${ports.at(-1)}`,
  ]);
  return formatTable(
    [{ title: 'PROCESS' }, { title: 'PID', align: 'right' }, { title: 'API' }, { title: 'HTTP' }],
    rows,
    terminal,
  );
}

/** Command lines to go on with, as this program was called. */
function further(options: DevOptions, cluster: DevCluster, leader: string, terminal: Terminal): string {
  const called = program();
  const tls = devTls(options, devAdmin);
  const apis = cluster.children.flatMap(({ process: { api } }) => api ?? []);
  const pid = cluster.children.find(({ process: { name } }) => name === leader)?.pid;
  const lines: readonly RemarkedLine[] = [
    ...(tls === undefined ? [] : ([[`export SUBLET_TLS=${resolve(tls)}`, 'your certificate: admin/dev']] as const)),
    [`export SUBLET_MASTER=${apis.join()}`, 'all masters: the next one is asked where one is gone'],
    [`${called} status`, 'how the cluster is'],
    [`${called} agents agent-1`, 'one agent, with its bridges'],
    [`${called} lookup 9.0.1.7`, 'whose address is this?'],
    [`${called} watch`, 'every change as it happens'],
    [`kill -9 ${pid}`, `the leader; another takes over`],
  ];
  return `Look further, from another terminal:\n${remarkedLines(lines, terminal)}`;
}

/** How this program is called here: from a clone by npm, or by its name. */
function program(): string {
  return process.env.npm_lifecycle_event === undefined ? 'sublet' : 'npm run -s sublet --';
}
