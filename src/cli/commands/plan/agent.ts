/** `sublet agent`: runs the agent of this host; `sublet agent status|check|ping|prune|renew|leave` look at it, mend it and end it. */
import { type Command, Option } from 'commander';
import { connects, type Define, examples, groupAction, outputOption } from '#cli/command-kit.js';
import type { PruneOptions } from '#cli/local/agent-prune.js';
import { needsConsent } from '#cli/operator/consent.js';
import { formOf } from '#cli/output/form.js';
import { addSettingFlags } from '#cli/setting-flags.js';
import type { Terminal } from '#cli/terminal.js';
import { agentSettings } from '#config/agent-settings.js';

export const define: Define = (command, terminal) => {
  command
    .description(
      'Runs the agent of this host: it leases the host’s addresses, keeps the lease, and makes the host match it. With --network plan it prints what it would do and changes nothing.',
    )
    .enablePositionalOptions();
  configures(command);
  command.addOption(new Option('--takeover', 'claim the id from a holder that may still live; gives fresh subnets'));
  status(command, terminal);
  check(command, terminal);
  ping(command, terminal);
  prune(command, terminal);
  renew(command, terminal);
  leave(command, terminal);
  examples(
    command,
    ['sublet agent --master 10.0.0.1:7070,10.0.0.2:7070', 'lease, and build the overlays'],
    ['sublet agent --config /etc/sublet/agent.json', 'from a file'],
    ['sublet agent --network plan --state-dir /tmp/try', 'only say what would be done'],
    ['sublet agent status', 'how the agent on this host is'],
  );
  groupAction(command, async () => {
    const { runAgent } = await import('#cli/process/agent-run.js');
    await runAgent(command, command.opts<{ takeover?: true }>(), terminal);
  });
};

function configures(command: Command): void {
  command.option('--config <FILE>', 'JSON; flags win over it');
  addSettingFlags(command, agentSettings);
}

function status(group: Command, terminal: Terminal): void {
  const command = group
    .command('status')
    .summary('how the agent on this host is')
    .description('How the agent on this host is, as its HTTP endpoint /status tells.')
    .option('--http <HOST:PORT>', 'where its HTTP answers', '127.0.0.1:7073')
    .addOption(outputOption('that of /status'));
  examples(
    command,
    ['sublet agent status', 'for people'],
    ['sublet agent status -o json | jq .problems', 'for scripts'],
  );
  command.action(async (options: { http: string }) => {
    const { showAgentStatus } = await import('#cli/local/agent-local.js');
    await showAgentStatus(options.http, formOf(command), terminal);
  });
}

function leave(group: Command, terminal: Terminal): void {
  const command = group
    .command('leave')
    .summary('give back what this host holds, and clean up')
    .description(
      'Gives back what this host holds and takes Sublet’s things off the host, and nothing else. The agent must be stopped; it is given the same settings. What the masters refuse changes nothing. Bridges and Docker networks that carry containers stay: the command then ends with 1, and takes them off when it is run again.',
    );
  configures(command);
  command.option('--host-only', 'take Sublet off this host and ask no master; its lease stays on record there');
  examples(
    command,
    ['sublet agent leave --config /etc/sublet/agent.json', 'after stopping the agent'],
    ['sublet agent leave --host-only', 'another host has its id by now'],
  );
  command.action(async (options: { hostOnly?: true }) => {
    const { leaveWithAgent } = await import('#cli/process/agent-run.js');
    await leaveWithAgent(command, options, terminal);
  });
}

function prune(group: Command, terminal: Terminal): void {
  const command = group
    .command('prune')
    .summary('free addresses of containers that are gone')
    .description(
      'Frees the addresses that host-local keeps for containers that are gone: reserved 10 minutes ago or longer, and in no network namespace of this host. It needs root, and the agent at work. An address that only a virtual machine has, and no namespace, looks unused, too: look at the list first.',
    );
  configures(command);
  needsConsent(command)
    .option('--http <HOST:PORT>', 'where the agent of this host answers', '127.0.0.1:7073')
    .addOption(outputOption('what --dry-run shows'));
  examples(
    command,
    ['sublet agent prune --dry-run', 'what would be freed'],
    ['sublet agent prune --config /etc/sublet/agent.json', 'with the cni_data_dir of that file'],
  );
  command.action(async (options: PruneOptions) => {
    const { pruneAddresses } = await import('#cli/local/agent-prune.js');
    await pruneAddresses(command, options, formOf(command), terminal);
  });
}

function renew(group: Command, terminal: Terminal): void {
  const command = group
    .command('renew')
    .summary('renew the certificate of this host’s agent now')
    .description(
      'Has the masters renew the certificate that joining has brought, or the files of tls with tls.renew, at once and with the same key. An agent does so by itself from half of the life of its certificate on; this is for a new authority. It takes the settings of the agent. An agent that runs takes the new certificate into use within 5 s.',
    );
  configures(command);
  examples(
    command,
    ['sublet agent renew --config /etc/sublet/agent.json', 'while the agent runs, or before it starts'],
    ['sublet agent renew --master 10.0.0.1:7070 --state-dir /var/lib/sublet-agent', 'with flags'],
  );
  command.action(async () => {
    const { renewAgentCertificate } = await import('#cli/local/agent-renew.js');
    await renewAgentCertificate(command, terminal);
  });
}

function check(group: Command, terminal: Terminal): void {
  const command = group
    .command('check')
    .summary('what this host lacks for an agent')
    .description(
      'Looks at what an agent needs of this host: rights, tools, kernel, folders, ports, Docker. Changes nothing. Exits with 1 if something is lacking.',
    );
  configures(command);
  command.addOption(outputOption('a list of findings'));
  examples(
    command,
    ['sublet agent check', 'before the first start'],
    ['sublet agent check --config /etc/sublet/agent.json', 'with its settings'],
  );
  command.action(async () => {
    const { checkThisHost } = await import('#cli/local/agent-check.js');
    await checkThisHost(command, formOf(command), terminal);
  });
}

function ping(group: Command, terminal: Terminal): void {
  const command = group
    .command('ping')
    .summary('whether other agents are reached through the tunnel')
    .description(
      'Probes the tunnel endpoints of other agents from this host, with small packets and at full MTU, and says which entry is missing where nothing comes back. Asks the masters for the other agents. Exits with 1 if one is not reached.',
    )
    .argument('[AGENT]', 'one agent, by id, node ip or VTEP address (default: all, 1000 at most)')
    .option('--http <HOST:PORT>', 'where this host’s agent answers', '127.0.0.1:7073');
  connects(command).addOption(outputOption('a list of reports'));
  examples(
    command,
    ['sublet agent ping', 'all agents'],
    ['sublet agent ping agent-2 --master 10.0.0.1:7070', 'one agent, as that master knows it'],
  );
  command.action(async (target: string | undefined, options: { http: string }) => {
    const { pingAgents } = await import('#cli/local/agent-ping.js');
    await pingAgents(command, target, options.http, terminal);
  });
}
