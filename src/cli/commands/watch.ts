/** `sublet watch`: every change of the plan as it happens, across the deaths of masters. */

import { status } from '@grpc/grpc-js';
import { detailsOf, isServiceError, NoMasterError } from '#api/master-client.js';
import { responseJson } from '#api/proto-json.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, wholeNumber } from '#cli/command-kit.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { type Operator, operate } from '#cli/operator/operator.js';
import { shortReason } from '#cli/operator/refusal-words.js';
import { forPeople, writeNext } from '#cli/output/form.js';
import { PlanPicture } from '#cli/plan-picture.js';
import { wrap } from '#cli/terminal.js';
import type { sublet } from '#proto/sublet.js';

type WatchResponse = sublet.v1.WatchResponse;

/** Masters tried in a row without a word from any of them, times the number of masters: before the first word, and after. */
const roundsMax = { before: 3, after: 20 };
const retryMs = 500;
/** Masters give watchers a snapshot that they have, and then at once what has happened since: that is no news either. */
const introduceAfterMs = 300;

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description(
      'Every change of agents, overlays and the network as it happens, until it is stopped with Ctrl-C. When a master goes away, the next one goes on where it stopped. Reservations and exclusions are in `sublet history`. With -o json one response of AgentService/Watch a line, the snapshot that it begins with included.',
    )
    .option('--from <REVISION>', 'begin after this revision, with all that has happened since', wholeNumber)
    .option('--cluster-id <ID>', 'with --from: the cluster that the revision is of (default: the one that is asked)');
  examples(
    command,
    ['sublet watch', 'from now on'],
    ['sublet watch -o json | jq -c .changes', 'for scripts'],
    ['sublet watch --from 4711', 'what came after revision 4711'],
  );
  command.action((options: { from?: number; clusterId?: string }) =>
    operate(command, terminal, async (operator) => {
      if (options.clusterId !== undefined && options.from === undefined) throw usage('--cluster-id goes with --from');
      const { from = 0 } = options;
      const clusterId = from === 0 ? '' : await clusterOf(operator, from, options.clusterId);
      await new Watch(operator, { clusterId, revision: from, branch: await branchOf(operator, from) }).run();
    }),
  );
};

/**
 * The id of the cluster that `from` is a revision of.
 * @throws Failure for another cluster than the masters', and for a revision that has not come about
 */
async function clusterOf({ client }: Operator, from: number, wanted: string | undefined): Promise<string> {
  const { clusterId, revision } = await client.call(operatorService.getNetwork, {}, { idempotent: true });
  if (wanted !== undefined && wanted !== clusterId) {
    throw new Failure(exitCodes.refused, `--cluster-id: the masters are of cluster "${clusterId}", not "${wanted}"`, [
      'A revision of another cluster says nothing here: leave out --from, or name the masters of that cluster.',
    ]);
  }
  if (from > revision) {
    throw new Failure(exitCodes.refused, `--from: revision ${from} is not reached: the newest is ${revision}`, [
      'It may be of a plan that was restored from a backup since. Leave out --from to begin now.',
    ]);
  }
  return clusterId;
}

/** The branch of the history that a revision is of, without which the masters begin with a snapshot. */
async function branchOf({ client }: Operator, revision: number): Promise<string> {
  if (revision === 0) return '';
  return (await client.call(clusterService.getStatus, { revision }, { idempotent: true })).branch;
}

/** Where a watch goes on. */
type Begin = { readonly clusterId: string; readonly revision: number; readonly branch: string };

class Watch {
  readonly #operator: Operator;
  readonly #picture = new PlanPicture();
  #clusterId: string;
  /** What was asked for with --from; 0: nothing. */
  readonly #from: number;
  #revision: number;
  #branch: string;
  #failures: { master: string; reason: string }[] = [];
  /**
   * A stream that began with a snapshot repeats what is known; only differences are printed, and nothing of the first
   * snapshot.
   */
  #begun = false;
  #introduction: NodeJS.Timeout | undefined;

  constructor(operator: Operator, { clusterId, revision, branch }: Begin) {
    this.#operator = operator;
    this.#clusterId = clusterId;
    this.#revision = revision;
    this.#branch = branch;
    this.#from = revision;
  }

  /** Never resolves: rejects when no master can be watched. */
  async run(): Promise<void> {
    const { client } = this.#operator;
    const masters = new Set<string>();
    for (;;) {
      const master = client.current;
      const reason = await this.#stream();
      masters.add(master);
      this.#failures.push({ master, reason });
      const rounds = this.#begun ? roundsMax.after : roundsMax.before;
      if (this.#failures.length >= rounds * masters.size) {
        throw new NoMasterError([...new Map(this.#failures.map((each) => [each.master, each])).values()]);
      }
      client.next();
      this.#sayLost(master, reason);
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }

  /** Once for each break, and only to people. */
  #sayLost(master: string, reason: string): void {
    const { output, terminal } = this.#operator;
    if (!forPeople(output) || !this.#begun || this.#failures.length > 1) return;
    const lost = `Lost the master at ${master} (${shortReason(reason)}); going on after revision ${this.#revision}…`;
    terminal.note(`${wrap(lost, terminal)}\n`);
  }

  /** Follows one stream to its end. @throws ServiceError when asking another master would not help */
  #stream(): Promise<string> {
    const request = { clusterId: this.#clusterId, fromRevision: this.#revision, branch: this.#branch };
    const stream = this.#operator.client.serverStream(agentService.watch, request);
    return new Promise((resolve, reject) => {
      stream.on('data', (response: WatchResponse) => {
        this.#failures = [];
        this.#take(response);
      });
      stream.on('end', () => resolve('it ended the watch'));
      stream.on('error', (error) => {
        if (!isServiceError(error)) reject(error);
        else if (passing.has(error.code)) resolve(detailsOf(error));
        else reject(error);
      });
    });
  }

  #take(response: WatchResponse): void {
    const { output, terminal } = this.#operator;
    if (!forPeople(output)) writeNext(output, responseJson(agentService.watch, response), terminal);
    const lines = this.#picture.take(response);
    // Asked for from a revision on, a stream may begin without a snapshot.
    if (response.changes && this.#introduction === undefined) this.#begun = true;
    if (forPeople(output) && this.#begun) for (const line of lines) terminal.write(`${wrap(line, terminal)}\n`);
    if (response.snapshotBegin) this.#clusterId = response.snapshotBegin.clusterId ?? '';
    const position = response.snapshotEnd ?? response.changes ?? response.progress;
    const revision = position?.revision;
    if (revision === null || revision === undefined) return;
    this.#revision = revision;
    this.#branch = position?.branch ?? '';
    if (response.snapshotEnd) this.#introduction ??= setTimeout(() => this.#introduce(), introduceAfterMs);
  }

  #introduce(): void {
    const { output, terminal } = this.#operator;
    if (this.#begun) return;
    this.#begun = true;
    if (!forPeople(output)) return;
    if (this.#from > 0) terminal.note(`${wrap(tooLongAgo(this.#from, this.#revision), terminal)}\n`);
    terminal.note(wrap(this.#picture.introduction(this.#revision), terminal));
  }
}

function tooLongAgo(from: number, revision: number): string {
  return `The masters no longer keep the events after revision ${from}. What changed up to ${revision}: sublet history --from ${from}`;
}

const passing: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.CANCELLED,
  status.UNKNOWN,
  status.INTERNAL,
  status.RESOURCE_EXHAUSTED,
]);
