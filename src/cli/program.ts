/**
 * The `sublet` command and its subcommands. Their names and summaries are here; everything else of a command is in
 * its module, which is loaded when the command is called, so that `sublet --help` loads nothing but this.
 */
import { Command, CommanderError } from 'commander';
import { anyOutputOption, type Define, examples } from '#cli/command-kit.js';
import type { CommandTree } from '#cli/completion/candidates.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { version } from '#cli/version.js';

type Entry = {
  readonly name: string;
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<{ readonly define: Define }>;
};

const look = 'Inspect:';
const change = 'Modify:';
const masters = 'Operate masters:';
const running = 'Run:';

export const commands: readonly Entry[] = [
  {
    name: 'dev',
    group: running,
    summary: 'run a whole cluster on this machine',
    load: () => import('#cli/commands/dev.js'),
  },
  { name: 'master', group: running, summary: 'run a master', load: () => import('#cli/commands/masters/master.js') },
  {
    name: 'agent',
    group: running,
    summary: 'run the agent of this host, or ask it',
    load: () => import('#cli/commands/plan/agent.js'),
  },
  {
    name: 'config',
    group: running,
    summary: 'check a configuration file without starting',
    load: () => import('#cli/commands/config.js'),
  },
  {
    name: 'ca',
    group: running,
    summary: 'make certificates for TLS',
    load: () => import('#cli/commands/access/ca.js'),
  },
  {
    name: 'token',
    group: running,
    summary: 'create, list and revoke tokens for hosts that join',
    load: () => import('#cli/commands/access/token.js'),
  },
  {
    name: 'context',
    group: running,
    summary: 'manage named connections to masters',
    load: () => import('#cli/commands/access/context.js'),
  },
  {
    name: 'completion',
    group: running,
    summary: 'print a completion script for a shell',
    load: () => import('#cli/commands/completion.js'),
  },
  {
    name: 'version',
    group: running,
    summary: 'print the version',
    load: () => import('#cli/commands/version.js'),
  },
  {
    name: 'status',
    group: look,
    summary: 'show the state of masters and agents',
    load: () => import('#cli/commands/masters/status.js'),
  },
  {
    name: 'top',
    group: look,
    summary: 'one screen of how the cluster is, live',
    load: () => import('#cli/commands/masters/top.js'),
  },
  {
    name: 'doctor',
    group: look,
    summary: 'find problems of this host or cluster, with remedies',
    load: () => import('#cli/commands/doctor.js'),
  },
  {
    name: 'debug',
    group: look,
    summary: 'collect data for a fault report',
    load: () => import('#cli/commands/debug.js'),
  },
  {
    name: 'agents',
    group: look,
    summary: 'list agents and their subnets',
    load: () => import('#cli/commands/plan/agents.js'),
  },
  {
    name: 'overlays',
    group: look,
    summary: 'list overlays and their use',
    load: () => import('#cli/commands/plan/overlays.js'),
  },
  {
    name: 'lookup',
    group: look,
    summary: 'find the agent of an address',
    load: () => import('#cli/commands/plan/lookup.js'),
  },
  {
    name: 'history',
    group: look,
    summary: 'list changes: when, what and by whom',
    load: () => import('#cli/commands/plan/history.js'),
  },
  { name: 'watch', group: look, summary: 'print changes as they happen', load: () => import('#cli/commands/watch.js') },
  {
    name: 'reservations',
    group: look,
    summary: 'list reservations and exclusions',
    load: () => import('#cli/commands/plan/reservations.js'),
  },
  {
    name: 'network',
    group: look,
    summary: 'show or change the settings of the network',
    load: () => import('#cli/commands/plan/network.js'),
  },
  {
    name: 'diff',
    group: look,
    summary: 'show what a plan file would change',
    load: () => import('#cli/commands/file/diff.js'),
  },
  {
    name: 'export',
    group: look,
    summary: 'print the plan as a file',
    load: () => import('#cli/commands/file/export.js'),
  },
  {
    name: 'plan',
    group: look,
    summary: 'forecast when overlays are full',
    load: () => import('#cli/commands/plan/plan.js'),
  },
  {
    name: 'whoami',
    group: look,
    summary: 'show your identity and its rights',
    load: () => import('#cli/commands/access/whoami.js'),
  },
  {
    name: 'apply',
    group: change,
    summary: 'apply a plan file',
    load: () => import('#cli/commands/file/apply.js'),
  },
  {
    name: 'import',
    group: change,
    summary: 'take in the network of DC/OS or flannel',
    load: () => import('#cli/commands/file/import.js'),
  },
  {
    name: 'release',
    group: change,
    summary: 'release the leases of agents',
    load: () => import('#cli/commands/plan/release.js'),
  },
  {
    name: 'reserve',
    group: change,
    summary: 'reserve a block for one agent or node address',
    load: () => import('#cli/commands/plan/reserve.js'),
  },
  {
    name: 'exclude',
    group: change,
    summary: 'exclude a range from allocation',
    load: () => import('#cli/commands/plan/exclude.js'),
  },
  {
    name: 'unreserve',
    group: change,
    summary: 'end a reservation or an exclusion',
    load: () => import('#cli/commands/plan/unreserve.js'),
  },
  {
    name: 'overlay',
    group: change,
    summary: 'add, enable, disable, grow or remove an overlay',
    load: () => import('#cli/commands/plan/overlay.js'),
  },
  {
    name: 'members',
    group: masters,
    summary: 'list masters and which may stop; add, replace or remove one',
    load: () => import('#cli/commands/masters/members.js'),
  },
  {
    name: 'transfer',
    group: masters,
    summary: 'transfer leadership to another master',
    load: () => import('#cli/commands/masters/transfer.js'),
  },
  {
    name: 'snapshot',
    group: masters,
    summary: 'save a backup; restore it, or recover from one survivor',
    load: () => import('#cli/commands/masters/snapshot.js'),
  },
  {
    name: 'adoption',
    group: masters,
    summary: 'after a restore: which agents are back; end the adoption',
    load: () => import('#cli/commands/plan/adoption.js'),
  },
  {
    name: 'certs',
    group: masters,
    summary: 'revoke identities of certificates, or restore them',
    load: () => import('#cli/commands/access/certs.js'),
  },
];

/** The program, with each command still empty: it is filled when it is called. */
export function makeProgram(terminal: Terminal): Command {
  const program = new Command('sublet')
    .description('Sublet lets subnets: a replicated address plan for overlay networks.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'this help; `sublet COMMAND --help` for a command')
    .helpCommand(false)
    .enablePositionalOptions()
    .showHelpAfterError('  See: sublet --help')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.note(text),
      getOutHelpWidth: () => Math.min(terminal.columns ?? 100, 100),
      getErrHelpWidth: () => Math.min(terminal.columns ?? 100, 100),
      outputError: (text, write) => write(usageError(text, terminal)),
    })
    .configureHelp({
      styleTitle: (title) => terminal.paint('bold', title),
      helpWidth: Math.min(terminal.columns ?? 100, 100),
    })
    .option('--master <HOST:PORT,…>', 'masters to ask (or SUBLET_MASTER; default 127.0.0.1:7070)')
    .option('--context <NAME>', 'use this context (or SUBLET_CONTEXT; `sublet context`)')
    .addOption(anyOutputOption())
    .hook('preSubcommand', async (_, command) => {
      await fill(command, terminal);
    });
  examples(
    program,
    ['sublet dev', 'three masters and three agents, here'],
    ['sublet agents', 'list agents and their subnets'],
    ['sublet lookup 9.0.1.7 -o json', 'find the agent of an address'],
  );
  for (const { name, summary, group } of commands) {
    program.command(name).summary(summary).description(summary).helpGroup(group);
  }
  return program;
}

/** The program, with what fills its commands. */
export function commandTree(terminal: Terminal): CommandTree {
  return { program: makeProgram(terminal), fill: (command) => fill(command, terminal) };
}

/** Loads a command's module into it. */
export async function fill(command: Command, terminal: Terminal): Promise<void> {
  const entry = commands.find(({ name }) => name === command.name());
  if (entry === undefined) return;
  (await entry.load()).define(command, terminal);
  point(command, `sublet ${command.name()}`);
}

/** Wrong use points to the help of the command at hand. */
function point(command: Command, path: string): void {
  command.helpCommand(false).showHelpAfterError(`  See: ${path} --help`);
  for (const inner of command.commands) point(inner, `${path} ${inner.name()}`);
}

/** `sublet help status` is `sublet status --help`. */
export function withoutHelpCommand(args: readonly string[]): readonly string[] {
  return args[0] === 'help' ? [...args.slice(1), '--help'] : args;
}

/** commander's errors in our form: the command, the error, and where to read on. */
function usageError(text: string, terminal: Terminal): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/ is invalid\. (\w)/, (_, letter: string) => ` is invalid: ${letter.toLowerCase()}`)
    .replace(/^(too many arguments for .*)\. Expected (\d+) arguments? but got (\d+)\.$/, '$1: $3 given, $2 allowed');
  // npm takes options for its own, and passes on their values alone.
  const isByNpm = process.env.npm_lifecycle_event !== undefined && said.startsWith('too many arguments');
  const hint = isByNpm ? '  With npm, two hyphens come before options: npm run -s sublet -- …\n' : '';
  return `${wrap(`${terminal.paintNote('red', 'sublet:')} ${said}`, terminal)}\n${hint}`;
}

/** Runs one command line. @returns the exit code; only a bug is thrown. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  if (args[0] === '__complete') {
    const { runCompletion } = await import('#cli/completion/run-completion.js');
    await runCompletion(args.slice(1), commandTree(terminal), terminal);
    return exitCodes.done;
  }
  try {
    await makeProgram(terminal).parseAsync(withoutHelpCommand(args), { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    // Help and version that were asked for end with 0; anything else that commander ends for is wrong use.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    if (!(error instanceof Failure)) throw error;
    const said = `${terminal.paintNote('red', 'sublet:')} ${error.message}`;
    for (const line of [said, ...error.hints.map((hint) => `  ${hint}`)]) terminal.note(`${wrap(line, terminal)}\n`);
    return error.exitCode;
  }
}
