/** `sublet overlays`: the overlays and how full they are. */
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { operate, print } from '#cli/operator.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { count } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';

type Usage = sublet.v1.PoolUsage.$Properties | null | undefined;

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description(
      'The overlays, and how many pieces of each are held, reserved, excluded, resting after use, or free. The last lines count the tunnel endpoints’ addresses.',
    )
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(command, ['sublet overlays', 'all of them'], ['sublet overlays -o json', 'for scripts']);
  command.action((options: { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(operatorService.listOverlays, request, { idempotent: true });
      print(operator, operatorService.listOverlays, response, () => formatOverlays(response, terminal));
    }),
  );
};

const columns = [
  { title: 'OVERLAY', least: 7 },
  { title: 'SUBNET', least: 10 },
  { title: 'PIECES' },
  { title: 'LETS' },
  ...['HELD', 'RESERVED', 'EXCLUDED', 'RESTING', 'FREE'].map((title) => ({ title, align: 'right' as const })),
];

export function formatOverlays({ overlays, vtep }: sublet.v1.ListOverlaysResponse, terminal: Terminal): string {
  const rows = overlays.flatMap(({ overlay, usage, usage6 }): readonly (readonly Cell[])[] => {
    const lets: Cell = overlay?.draining
      ? { text: 'draining', style: 'yellow' }
      : overlay?.enabled
        ? { text: 'yes', style: 'green' }
        : { text: 'no', style: 'yellow' };
    const row = (subnet: string, prefix: number | null | undefined, of: Usage): readonly Cell[] => [
      { text: overlay?.name ?? '', style: 'bold' },
      subnet,
      `/${prefix ?? 0}`,
      lets,
      ...counts(of),
    ];
    return [
      ...(overlay?.subnet ? [row(overlay.subnet, overlay.prefix, usage)] : []),
      ...(overlay?.subnet6 ? [row(overlay.subnet6, overlay.prefix6, usage6)] : []),
    ];
  });
  const none =
    overlays.length === 0 ? 'No overlays. Add one: sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24\n' : '';
  return (
    none + formatTable(columns, [...rows, [{ text: 'VTEPs', style: 'dim' }, '', '', '', ...counts(vtep)]], terminal)
  );
}

function counts(of: Usage): readonly Cell[] {
  const free: Cell = of?.free === 0 && (of.total ?? 0) > 0 ? { text: '0', style: 'red' } : count(of?.free);
  return [count(of?.held), count(of?.reserved), count(of?.excluded), count(of?.quarantined), free];
}
