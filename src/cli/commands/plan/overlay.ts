/** `sublet overlay add|enable|disable|grow|remove`: changes the overlays of the network. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { overlayNameAllowed } from '#address/overlay-name.js';
import { operatorService } from '#api/services.js';
import { type Define, examples, wholeNumber, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { type ConsentOptions, consented, needsConsent, previewed, previews } from '#cli/operator/consent.js';
import { drainProgress, holdersOf, overlayDrain, overlayGrowth, overlayRemoval } from '#cli/operator/consequences.js';
import { type Operator, operate, print } from '#cli/operator/operator.js';
import { overlayAddition, overlaySwitch } from '#cli/operator/plan-previews.js';
import type { Terminal } from '#cli/terminal.js';
import { overlayUse, plural } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { parseDuration } from '#text/duration.js';

type Overlay = sublet.v1.Overlay.$Properties;
type Written = { readonly expectedRevision?: number };

export const define: Define = (command, terminal) => {
  command.description(
    'Adds, enables, disables, grows, drains or removes an overlay. Every agent learns of it at once.',
  );
  add(command, terminal);
  setEnabled(command, terminal, 'enable', 'allocate subnets of an overlay again', true);
  setEnabled(command, terminal, 'disable', 'stop allocating subnets of an overlay; held subnets stay held', false);
  grow(command, terminal);
  drain(command, terminal);
  remove(command, terminal);
  examples(
    command,
    ['sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24', 'a /24 of it per agent'],
    ['sublet overlay disable dcos', 'stop allocating its subnets'],
    ['sublet overlay drain dcos', 'have agents give it back, before it is removed'],
  );
};

type AddOptions = Written &
  ConsentOptions & { subnet?: string; prefix?: number; subnet6?: string; prefix6?: number; disabled?: true };

function add(group: Command, terminal: Terminal): void {
  const command = previews(writes(group.command('add').summary('add an overlay')))
    .description('Adds an overlay. Agents that run get their piece of it within 30 seconds.')
    .argument('<NAME>', overlayNameAllowed)
    .option('--subnet <CIDR>', 'its IPv4 network')
    .option('--prefix <BITS>', 'length of an agent’s piece of it, like 24', wholeNumber)
    .option('--subnet6 <CIDR>', 'its IPv6 network')
    .option('--prefix6 <BITS>', 'length of an agent’s piece of it, like 80', wholeNumber)
    .option('--disabled', 'allocate none of its subnets until it is enabled');
  examples(
    command,
    ['sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24', 'IPv4'],
    ['sublet overlay add both --subnet 9.0.0.0/8 --prefix 24 --subnet6 fd01:b::/64 --prefix6 80', 'both'],
  );
  command.action((name: string, options: AddOptions) =>
    operate(command, terminal, async (operator) => {
      const overlay = overlayOf(name, options);
      const request = { overlay, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => overlayAddition(operator.client, overlay, described(overlay));
      if (!(await previewed(operator, options, lines, { addOverlay: request }))) return;
      const response = await operator.client.call(operatorService.addOverlay, request, { idempotent: false });
      print(operator, operatorService.addOverlay, response, () => `Added ${described(response.overlay ?? {})}.\n`);
    }),
  );
}

function overlayOf(name: string, { subnet, prefix, subnet6, prefix6, disabled }: AddOptions): Overlay {
  if (subnet === undefined && subnet6 === undefined) throw usage('--subnet or --subnet6 is needed');
  if ((subnet === undefined) !== (prefix === undefined)) throw usage('--subnet and --prefix go together');
  if ((subnet6 === undefined) !== (prefix6 === undefined)) throw usage('--subnet6 and --prefix6 go together');
  return {
    name,
    enabled: disabled !== true,
    ...(subnet === undefined ? {} : { subnet: subnetArgument(subnet, '--subnet'), prefix: prefix ?? 0 }),
    ...(subnet6 === undefined ? {} : { subnet6: subnetArgument(subnet6, '--subnet6'), prefix6: prefix6 ?? 0 }),
  };
}

function setEnabled(group: Command, terminal: Terminal, name: string, summary: string, enabled: boolean): void {
  const command = previews(writes(group.command(name).summary(summary)))
    .description(`${capital(summary)}.`)
    .argument('<NAME>', 'the overlay');
  examples(command, [`sublet overlay ${name} dcos`, summary]);
  command.action((overlay: string, options: Written & ConsentOptions) =>
    operate(command, terminal, async (operator) => {
      const request = { name: overlay, enabled, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => overlaySwitch(operator.client, overlay, enabled);
      if (await previewed(operator, options, lines, { updateOverlay: request })) await update(operator, request);
    }),
  );
}

function grow(group: Command, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('grow').summary('give an overlay a larger subnet')))
    .description('Gives an overlay a larger subnet, one that contains the one it has. What is held stays where it is.')
    .argument('<NAME>', 'the overlay')
    .option('--subnet <CIDR>', 'a supernet of its IPv4 network')
    .option('--subnet6 <CIDR>', 'a supernet of its IPv6 network');
  examples(command, ['sublet overlay grow dcos --subnet 8.0.0.0/7', 'twice as much']);
  command.action((name: string, options: Written & ConsentOptions & { subnet?: string; subnet6?: string }) =>
    operate(command, terminal, async (operator) => {
      const { subnet, subnet6 } = options;
      if (subnet === undefined && subnet6 === undefined) throw usage('--subnet or --subnet6 is needed');
      const larger = {
        ...(subnet === undefined ? {} : { subnet: subnetArgument(subnet, '--subnet') }),
        ...(subnet6 === undefined ? {} : { subnet6: subnetArgument(subnet6, '--subnet6') }),
      };
      const request = { name, ...larger, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => overlayGrowth(operator.client, name, larger);
      if (await consented(operator, options, lines, { updateOverlay: request })) await update(operator, request);
    }),
  );
}

/** How often it is looked whether all have given it back. */
const lookEveryMs = 1_000;

function drain(group: Command, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('drain').summary('have agents give an overlay back')))
    .description(
      'Disables an overlay, and has each agent take it off its host and give its block back, which is quarantined then. The other overlays of the agents stay as they are. Lists the agents that still hold a block. Ended by `sublet overlay enable`.',
    )
    .argument('<NAME>', 'the overlay')
    .option('--wait <TIME>', 'wait until no agent holds a block of it, at most this long');
  examples(
    command,
    ['sublet overlay drain web', 'begin, and list the agents that hold a block'],
    ['sublet overlay drain web --wait 10m', 'and wait'],
    ['sublet overlay remove web', 'after no agent holds a block and the quarantine is over'],
  );
  command.action((name: string, options: Written & ConsentOptions & { wait?: string }) =>
    operate(command, terminal, async (operator) => {
      const { client } = operator;
      const waitMs = options.wait === undefined ? 0 : parseDuration(options.wait);
      if (waitMs === undefined) throw usage(`--wait: "${options.wait}" is not a duration, like 10m`);
      const request = { name, drain: true, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => overlayDrain(client, name);
      if (!(await consented(operator, options, lines, { updateOverlay: request }))) return;
      const response = await client.call(operatorService.updateOverlay, request, { idempotent: true });
      const begin = performance.now();
      let holders = await holdersOf(client, name);
      while (holders.length > 0 && performance.now() - begin < waitMs) {
        await delay(lookEveryMs);
        holders = await holdersOf(client, name);
      }
      print(operator, operatorService.updateOverlay, response, () => drainProgress(name, holders, terminal));
      if (holders.length > 0 && waitMs > 0) {
        throw new Failure(
          exitCodes.refused,
          `${plural(holders.length, 'agent')} still ${holders.length === 1 ? 'holds' : 'hold'} a block of ${name}`,
        );
      }
    }),
  );
}

async function update(operator: Operator, request: sublet.v1.UpdateOverlayRequest.$Properties): Promise<void> {
  const response = await operator.client.call(operatorService.updateOverlay, request, { idempotent: false });
  print(operator, operatorService.updateOverlay, response, () => `Now ${described(response.overlay ?? {})}.\n`);
}

function remove(group: Command, terminal: Terminal): void {
  const command = needsConsent(
    writes(group.command('remove').summary('remove an overlay of which no agent holds a block')),
  )
    .description(
      'Removes an overlay. Refused while agents hold a piece of it, and until the last one has been quarantined: drain it first.',
    )
    .argument('<NAME>', 'the overlay');
  examples(
    command,
    ['sublet overlay drain dcos', 'have agents give it back'],
    ['sublet overlay remove dcos', 'after no agent holds a block'],
  );
  command.action((name: string, options: Written & ConsentOptions) =>
    operate(command, terminal, async (operator) => {
      const request = { name, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => overlayRemoval(operator.client, name);
      if (!(await consented(operator, options, lines, { removeOverlay: request }))) return;
      const response = await operator.client.call(operatorService.removeOverlay, request, { idempotent: false });
      print(operator, operatorService.removeOverlay, response, () => `Removed ${name}.\n`);
    }),
  );
}

/** `dcos: 9.0.0.0/8 in pieces of /24, enabled` */
function described(overlay: Overlay): string {
  const { name, subnet, prefix, subnet6, prefix6 } = overlay;
  const spaces = [
    ...(subnet ? [`${subnet} in pieces of /${prefix ?? 0}`] : []),
    ...(subnet6 ? [`${subnet6} in pieces of /${prefix6 ?? 0}`] : []),
  ];
  return `${name ?? ''}: ${[...spaces, overlayUse(overlay)].join(', ')}`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
