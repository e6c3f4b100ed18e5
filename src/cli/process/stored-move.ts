/** `sublet members move --data-dir`: notes in the store of a stopped master where the masters are reached now. */
import { expectedFailure } from '#cli/failure.js';
import { formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { moveOffline, type NamedPeer } from '#master/members/offline-move.js';

/** @throws Failure */
export async function moveStored(dataDir: string, masters: readonly NamedPeer[], terminal: Terminal): Promise<void> {
  const { self, members, moved } = await moveOffline(dataDir, masters).catch((error: unknown) => {
    throw expectedFailure(error) ?? error;
  });
  const rows = members.map(({ name, peer, storeId }) => [
    name,
    peer,
    moved.find((move) => move.storeId === storeId)?.to ?? 'as recorded',
  ]);
  terminal.write(formatTable([{ title: 'MASTER' }, { title: 'RECORDED' }, { title: 'CALLED AT' }], rows, terminal));
  const others = members.filter(({ id }) => id !== self.id).map(({ name }) => name);
  const next = others.length === 0 ? [] : [`The same, with the same addresses, on ${others.join(', ')}, stopped.`];
  terminal.write(
    [
      '',
      `Noted in the store of ${self.name}. Nothing that the cluster has recorded was changed.`,
      'Next:',
      ...next,
      'Then start all masters, each listening at its new address. The one that leads has the cluster record them.',
      '',
    ].join('\n'),
  );
}
