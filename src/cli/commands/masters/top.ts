/** `sublet top`: one screen that shows how the cluster is, again and again. */
import { InvalidArgumentError } from 'commander';
import { clusterService, operatorService } from '#api/services.js';
import { connects, type Define, examples } from '#cli/command-kit.js';
import { formatMembers } from '#cli/commands/masters/members.js';
import { formatOverlays } from '#cli/commands/plan/overlays.js';
import { remark } from '#cli/member-words.js';
import { type Operator, operate } from '#cli/operator/operator.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { count, plural } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';
import { parseDuration } from '#text/duration.js';

const everyDefaultMs = 2_000;
const everyMinMs = 200;
/** More would push what matters off the screen. */
const overlaysShownMax = 10;
const warningsShownMax = 5;

export const define: Define = (command, terminal) => {
  connects(command)
    .description(
      'One screen, drawn anew every 2 s until Ctrl-C: who leads, how many changes of the log there are each second, how each master is, the fullest overlays, and what the masters warn of. In a pipe it prints one after the other.',
    )
    .option('--every <TIME>', 'how often (default 2s)', lookTime)
    .option('--once', 'one screen alone');
  examples(command, ['sublet top', 'until Ctrl-C'], ['sublet top --once', 'in a ticket']);
  command.action(({ every = everyDefaultMs, once }: { every?: number; once?: true }) =>
    operate(command, terminal, async (operator) => {
      let before: Look | undefined;
      for (;;) {
        const now = await look(operator, terminal);
        if (once !== true) terminal.clear();
        terminal.write(screen(now, before, terminal));
        if (once === true) return;
        before = now;
        await terminal.pause(every);
      }
    }),
  );
};

/** For commander: milliseconds. */
function lookTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < everyMinMs) {
    throw new InvalidArgumentError(`a duration of at least ${everyMinMs}ms is allowed, like 5s.`);
  }
  return ms;
}

type Look = {
  /** Ms since 1970. */
  readonly at: number;
  readonly status: sublet.v1.GetStatusResponse;
  readonly members: sublet.v1.ListMembersResponse;
  readonly overlays: sublet.v1.ListOverlaysResponse;
};

async function look({ client }: Operator, terminal: Terminal): Promise<Look> {
  const again = { idempotent: true } as const;
  const [status, members, overlays] = await Promise.all([
    client.call(clusterService.getStatus, {}, again),
    client.call(clusterService.listMembers, {}, again),
    // Without a leader there is still something to show.
    client.call(operatorService.listOverlays, { stale: true }, again),
  ]);
  return { at: terminal.now(), status, members, overlays };
}

function screen(now: Look, before: Look | undefined, terminal: Terminal): string {
  const { status, members, overlays } = now;
  const { live = 0, silent = 0, total = 0 } = status.agents ?? {};
  const head = [
    `cluster ${status.clusterId}`,
    status.leader === '' ? terminal.paint('red', 'no leader') : `leader ${status.leader}`,
    `term ${status.term}`,
    `revision ${status.appliedIndex}`,
    ...(before === undefined ? [] : [`${rate(now, before)} changes/s`]),
    `${plural(total ?? 0, 'agent')}: ${count(live)} live, ${count(silent)} silent`,
  ];
  const shape = { wide: false, titles: true, remarks: false };
  const fullest = overlays.overlays.toSorted((a, b) => used(b) - used(a)).slice(0, overlaysShownMax);
  const shown = new sublet.v1.ListOverlaysResponse({ overlays: fullest, revision: overlays.revision });
  const wrong = status.warnings.filter(({ notice }) => !notice);
  const more = wrong.length - warningsShownMax;
  return [
    `${wrap(head.join('   '), terminal)}\n`,
    formatMembers(members, terminal, shape),
    formatOverlays(shown, terminal, shape, true),
    wrong
      .slice(0, warningsShownMax)
      .map(({ message, remedy }) => remark(message ?? '', remedy ?? '', terminal))
      .join('') + (more > 0 ? `and ${plural(more, 'more warning')}: sublet status\n` : ''),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** Entries of the log a second; a log that began anew has none. */
function rate(now: Look, before: Look): string {
  const seconds = Math.max(0.001, (now.at - before.at) / 1_000);
  return Math.max(0, (now.status.commitIndex - before.status.commitIndex) / seconds).toFixed(1);
}

/** The part of an overlay that is not free, of its fuller family. */
function used({ usage, usage6 }: sublet.v1.OverlayUsage.$Properties): number {
  return Math.max(...[usage, usage6].map((of) => (of?.total ? 1 - (of.free ?? 0) / of.total : 0)));
}
