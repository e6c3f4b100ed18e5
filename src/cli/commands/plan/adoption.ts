/** `sublet adoption [end]`: the time after a restore in which only held blocks are leased. */

import type { Command } from 'commander';
import { clusterService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, groupAction, wholeNumber, writes } from '#cli/command-kit.js';
import { type ConsentOptions, consented, needsConsent } from '#cli/operator/consent.js';
import { adoptionEnd } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import type { Terminal } from '#cli/terminal.js';
import { count, plural } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';

export const define: Define = (command, terminal) => {
  connectsAndPrints(command).description(
    'After a restore or a recovery the plan is in adoption: running agents get back what they hold, and no other block is allocated until an operator ends it.',
  );
  examples(
    command,
    ['sublet adoption', 'is it on, and which agents are missing?'],
    ['sublet adoption end', 'end the adoption'],
  );
  groupAction(command, () =>
    operate(command, terminal, async (operator) => {
      const status = await operator.client.call(clusterService.getStatus, {}, { idempotent: true });
      print(operator, clusterService.getStatus, status, () => describe(status));
    }),
  );
  end(command, terminal);
};

function describe({ adoption, adoptionReason, agents, awaited, awaitedAgents }: sublet.v1.GetStatusResponse): string {
  if (!adoption) return 'Off: agents get fresh blocks.\n';
  const { total } = agents ?? {};
  const more = awaited - awaitedAgents.length;
  const missing = [...awaitedAgents, ...(more > 0 ? [`… and ${count(more)} more`] : [])];
  return (
    'On: only held blocks are leased.\n' +
    (adoptionReason === '' ? '' : `Because: ${adoptionReason}.\n`) +
    `On record: ${plural(total ?? 0, 'agent')}. Not back yet: ${awaited > 0 ? `${count(awaited)}:` : 'none.'}\n` +
    missing.map((agentId) => `  ${agentId}\n`).join('') +
    'When all running agents are back, end it: sublet adoption end\n'
  );
}

function end(group: Command, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('end').summary('allocate fresh blocks again')))
    .description(
      'Ends the adoption. From then on every unclaimed block can be allocated to any agent: check `sublet adoption` first, and wait for hosts that are down. While agents on record are missing it is refused, unless their number is given.',
    )
    .option('--although-missing <N>', 'end it although so many agents have not come back', wholeNumber);
  examples(
    command,
    ['sublet adoption end', 'once all on record are back'],
    ['sublet adoption end --although-missing 2', 'two hosts are gone for good'],
  );
  type Options = ConsentOptions & { expectedRevision?: number; althoughMissing?: number };
  command.action(({ expectedRevision = 0, althoughMissing = 0, ...consent }: Options) =>
    operate(command, terminal, async (operator) => {
      if (!(await consented(operator, consent, () => adoptionEnd(operator.client)))) return;
      const request = { expectedRevision, althoughMissing };
      const response = await operator.client.call(clusterService.endAdoption, request, { idempotent: false });
      print(operator, clusterService.endAdoption, response, () => 'Agents get fresh blocks again.\n');
    }),
  );
}
