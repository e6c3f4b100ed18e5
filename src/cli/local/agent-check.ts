/** What this host lacks for an agent with these settings. */

import type { Command } from 'commander';
import { exitCodes, Failure } from '#cli/failure.js';
import { askAgent } from '#cli/local/agent-local.js';
import { type DeadOfNetwork, findDead, networksAt } from '#cli/local/agent-prune.js';
import { type Form, forPeople, plainJson, writeValue } from '#cli/output/form.js';
import { hostSettings } from '#cli/process/agent-run.js';
import { loadConfig } from '#cli/process/process-config.js';
import { wrapIndented } from '#cli/table.js';
import type { Style, Terminal } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { agentSettings } from '#config/agent-settings.js';
import { type AgentConfig, loadAgentConfig } from '#config/files/agent-config.js';
import { formatHostPort } from '#config/host-port.js';
import { checkHost } from '#host/check.js';
import type { CheckFinding } from '#host/host-status.js';
import { processRunner } from '#host/tools/runner.js';
import { printable } from '#text/printable-text.js';

/** What the masters would tell an agent; before it has asked them, what they tell by default. */
const vtepName = 'vtep1024';
const vxlanPort = 64_000;

/** @throws Failure when something is lacking */
export async function checkThisHost(command: Command, output: Form, terminal: Terminal): Promise<void> {
  const { config } = loadConfig(command, agentSettings, loadAgentConfig);
  const findings = [...(await agentFindings(config)), ...(await addressFindings(config, terminal.now()))];
  if (forPeople(output)) terminal.write(formatFindings(findings, terminal));
  else writeValue(output, plainJson(findings), terminal);
  const lacking = findings.filter(({ severity }) => severity === 'error').length;
  if (lacking > 0) throw new Failure(exitCodes.refused, `this host lacks ${plural(lacking, 'thing')} for an agent`);
}

/** What an agent with this configuration needs of this host. */
export function agentFindings(config: AgentConfig): Promise<readonly CheckFinding[]> {
  const { allocateSubnet, mesosBridge, dockerBridge } = config.networkConfig;
  return checkHost({
    settings: hostSettings(config),
    ...(config.nodeIp !== undefined && { nodeIp: config.nodeIp }),
    vtepName,
    port: vxlanPort,
    containers: { cni: allocateSubnet && mesosBridge, docker: allocateSubnet && dockerBridge },
  });
}

/** From this share on a range counts as almost full. */
const fullShare = 0.9;

/** How full the ranges of a host are whose agent is at work; nothing where none answers. */
export async function addressFindings(config: AgentConfig, nowMs: number): Promise<readonly CheckFinding[]> {
  const at = formatHostPort(config.httpListen);
  let addresses: Awaited<ReturnType<typeof askAgent>>['addresses'];
  let found: readonly DeadOfNetwork[];
  try {
    ({ addresses } = await askAgent(at));
    found = await findDead(await networksAt(at, config.cniDataDir), nowMs, processRunner);
  } catch {
    return []; // No agent at work, or nothing that this user may look at.
  }
  const full = addresses.map(({ bridge, used, size }): CheckFinding => {
    const says = `${used}${size === undefined ? '' : ` of ${size}`} addresses of ${bridge} are in use`;
    if (size === undefined || used < size * fullShare) return { severity: 'ok', what: 'addresses', says };
    const todo = 'give the overlay shorter prefixes for new hosts, or this host another overlay; see to what uses them';
    return { severity: 'warning', what: 'addresses', says, todo };
  });
  const dead = found.flatMap(({ network, dead = [] }): CheckFinding[] => {
    if (dead.length === 0) return [];
    const says = `${dead.length} of the addresses reserved on ${network.bridge} are in no network namespace of this host`;
    return [{ severity: 'warning', what: 'addresses', says, todo: 'sublet agent prune --dry-run' }];
  });
  return [...full, ...dead];
}

const words = { ok: 'ok', warning: 'look', error: 'lacks' } as const;
const styles: Readonly<Record<CheckFinding['severity'], Style>> = { ok: 'green', warning: 'yellow', error: 'red' };

/** @param bad what an error is called, in five characters */
export function formatFindings(
  findings: readonly CheckFinding[],
  terminal: Terminal,
  bad: 'lacks' | 'wrong' = words.error,
): string {
  const room = Math.max(0, ...findings.map(({ what }) => what.length));
  const indent = ' '.repeat(5 + 2 + room + 2);
  return findings
    .map(({ severity, what, says, todo }) => {
      const width = terminal.columns === undefined ? undefined : Math.max(1, terminal.columns - indent.length);
      const said = wrapIndented(printable(says), width, '').replaceAll('\n', `\n${indent}`);
      const head = `${terminal.paint(styles[severity], (severity === 'error' ? bad : words[severity]).padEnd(5))}  ${what.padEnd(room)}  ${said}\n`;
      return todo === undefined
        ? head
        : `${head}${indent}${terminal.paint('cyan', wrapIndented(printable(todo), undefined, ''))}\n`;
    })
    .join('');
}
