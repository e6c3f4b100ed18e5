/** `sublet whoami`: the identity of this operator, as the masters see it. */
import { accessService } from '#api/services.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { operate, print } from '#cli/operator/operator.js';
import { formatFacts } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { clockTime, milliseconds } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';
import { foreignText } from '#text/printable-text.js';

export const define: Define = (command, terminal) => {
  connectsAndPrints(command).description(
    'Which identity the masters see in your certificate, until when it is valid, and what it may do. With -o json also the methods of the API that it may call.',
  );
  examples(
    command,
    ['sublet whoami', 'by SUBLET_TLS, or --tls'],
    ['sublet whoami -o json | jq -r .methods[]', 'what it may call'],
  );
  command.action(() =>
    operate(command, terminal, async (operator) => {
      const response = await operator.client.call(accessService.whoAmI, {}, { idempotent: true });
      print(operator, accessService.whoAmI, response, () => describe(response, terminal));
    }),
  );
};

const maySay: Readonly<Record<string, string>> = {
  agent: 'be the agent of this id: register, keep its lease, report, leave, watch its peers',
  viewer: 'read the plan, the history, the members and the status; watch',
  operator: 'read everything, change the plan, save a backup',
  admin: 'read everything, change the plan and the masters, save a backup, revoke identities',
};

function describe(response: sublet.v1.WhoAmIResponse, terminal: Terminal): string {
  const { identity, address, serial, ends, methods, master } = response;
  const asked = `${foreignText(address)}, as master ${foreignText(master)} sees it`;
  if (!identity?.role) {
    return formatFacts(
      [
        ['you', 'unknown: the masters run without TLS'],
        ['from', asked],
        ['may', 'do everything, as every caller may that reaches the masters'],
      ],
      terminal,
    );
  }
  const now = terminal.now();
  const leftMs = (milliseconds(ends) ?? 0) - now;
  const left = leftMs > 0 ? `${formatDuration(leftMs - (leftMs % 1_000), 2)} left` : 'ended';
  const { role } = identity;
  return formatFacts(
    [
      ['you', { text: `${role}/${identity.id}`, style: 'bold' }],
      ['from', asked],
      [
        'certificate',
        serial === ''
          ? 'none: this is the admin socket of the master'
          : `${serial}, valid to ${clockTime(ends, now)}, ${left}`,
      ],
      ['may', maySay[role] ?? `call ${methods.length} methods`],
    ],
    terminal,
  );
}
