/** `sublet release ID…`: takes back what agents hold. */

import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { type ConsentOptions, consented, needsConsent, previewed } from '#cli/operator/consent.js';
import { releases } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import { plural } from '#cli/words.js';

export const define: Define = (command, terminal) => {
  needsConsent(writes(command))
    .description(
      'Takes back what these agents hold: all of them, or none if one can’t be. What was held is quarantined before it is leased again; an agent that still runs registers again.',
    )
    .argument('<ID...>', 'agents to release')
    .option('--force', 'release also agents that are live, or that an adoption waits for');
  examples(
    command,
    ['sublet release agent-7', 'a host that is gone for good'],
    ['sublet release agent-7 agent-8 --force', 'although they may be live'],
    ['sublet agents --silent', 'first list the silent agents'],
  );
  command.action((agentIds: string[], options: ConsentOptions & { force?: true; expectedRevision?: number }) =>
    operate(command, terminal, async (operator) => {
      const force = options.force === true;
      const consequences = () => releases(operator.client, agentIds, force);
      const request = { agentIds, force, expectedRevision: options.expectedRevision ?? 0 };
      // Without --force only agents that are silent are released, and none that an adoption waits for: no running host loses
      // anything.
      const ask = force ? consented : previewed;
      if (!(await ask(operator, options, consequences, { releaseAgents: request }))) return;
      const response = await operator.client.call(operatorService.releaseAgents, request, { idempotent: false });
      print(operator, operatorService.releaseAgents, response, () => {
        const freed = response.released.length === 0 ? '' : `; quarantined now: ${response.released.join(', ')}`;
        return `Released ${plural(agentIds.length, 'agent')}${freed}.\n`;
      });
    }),
  );
};
