/**
 * Deliberate bugs: each puts a wrong fragment in place of a right one when the built module is loaded, so that the
 * product itself knows nothing of them. The simulator must find every one; `aim` is the trouble that brings it out.
 */
import type { Bug } from '#cluster-test/simulation/planted/bug.js';
import { siteBugs } from '#cluster-test/simulation/planted/site-bugs.js';
import { slowTiming } from '#cluster-test/simulation/world/timings.js';

const elections = ['crash', 'isolated-leader', 'bridge', 'delay'] as const;

export const bugs: readonly Bug[] = [
  ...siteBugs,
  {
    name: 'old-term-committed-by-counting',
    changes: [
      {
        file: 'raft/roles/replication.js',
        right: 'if (core.log.term(index) !== core.term) { return false;',
        wrong: 'if (core.log.term(index) === undefined) { return false;',
      },
    ],
    aim: { faults: [...elections, 'slow-disk', 'transfer'] },
  },
  {
    name: 'vote-not-persisted',
    changes: [
      {
        file: 'replica/driver/storage-writer.js',
        right: 'this.#queue.push({ hardState, entries, install, responses, promises });',
        wrong:
          'this.#queue.push({ hardState: hardState && { ...hardState, vote: 0 }, entries, install, responses, promises });',
      },
    ],
    aim: { faults: ['crash'] },
  },
  {
    name: 'vote-before-fsync',
    changes: [
      {
        file: 'raft/core.js',
        right: "case 'vote-response': case 'pre-vote-response':",
        wrong:
          "case 'vote-response': (message.to === core.id ? core.afterAppend : core.immediate).push(message); break; case 'pre-vote-response':",
      },
    ],
    aim: { faults: ['crash'] },
  },
  {
    name: 'campaign-before-fsync',
    changes: [
      {
        file: 'raft/roles/held-votes.js',
        right: 'if (votes.length === 0)',
        wrong: 'if (votes.length >= 0)',
      },
    ],
    aim: { faults: ['crash'] },
  },
  {
    name: 'append-acknowledged-before-fsync',
    changes: [
      {
        file: 'raft/core.js',
        right: "case 'append-response': ",
        wrong:
          "case 'append-response': (message.to === core.id ? core.afterAppend : core.immediate).push(message); break;",
      },
    ],
    aim: { faults: ['crash'] },
  },
  {
    name: 'vote-compares-index-first',
    changes: [
      {
        file: 'raft/log/raft-log.js',
        right: 'return candidate.term > own.term || (candidate.term === own.term && candidate.index >= own.index);',
        wrong: 'return candidate.index > own.index || (candidate.index === own.index && candidate.term >= own.term);',
      },
    ],
    aim: { faults: ['returning-leader', ...elections], shape: { calm: 3, stormPace: 0.2 } },
  },
  {
    name: 'truncation-on-matching-append',
    changes: [
      {
        file: 'raft/log/raft-log.js',
        right: 'const fresh = entries.findIndex((entry) => !this.matches(entry));',
        wrong: 'const fresh = entries.length > 0 ? 0 : -1;',
      },
    ],
    aim: { faults: ['duplication', 'reordering', 'delay'] },
  },
  {
    name: 'quorum-too-small',
    changes: [
      {
        file: 'raft/tracker/quorum.js',
        right: 'return Math.floor(count / 2) + 1;',
        wrong: 'return Math.floor(count / 2);',
      },
    ],
    aim: { faults: ['crash', 'delay'] },
  },
  {
    name: 'joint-commit-by-new-majority-alone',
    changes: [
      {
        file: 'raft/tracker/quorum.js',
        right: 'return Math.min(majorityIndex(config.voters, reached), majorityIndex(config.votersOutgoing, reached));',
        wrong: 'return majorityIndex(config.voters, reached);',
      },
    ],
    aim: {
      faults: ['unlucky-change', 'membership', 'delay', 'loss', 'slow-disk'],
      shape: { masters: 3, calm: 1, stormPace: 0.2 },
    },
  },
  {
    name: 'second-membership-change-at-once',
    changes: [
      {
        file: 'raft/roles/proposal.js',
        right: 'if (pendingConfIndex > core.log.applied) {',
        wrong: 'if (core.id === 0) {',
      },
    ],
    aim: { faults: ['unlucky-change', 'membership', 'delay', 'slow-disk'], shape: { masters: 3, calm: 1 } },
  },
  {
    name: 'learners-counted',
    changes: [
      {
        file: 'raft/roles/replication.js',
        right: 'const reached = jointIndex(config, (voter) => progress.get(voter)?.match);',
        wrong:
          'const reached = [...config.voters, ...config.learners].map((member) => progress.get(member)?.match ?? 0).sort((a, b) => b - a)[Math.floor(config.voters.length / 2)] ?? 0;',
      },
    ],
    aim: { faults: ['membership', 'delay', 'slow-disk', 'single-cut', 'crash'], shape: { masters: 3, calm: 2 } },
  },
  {
    name: 'read-without-commit-in-own-term',
    changes: [
      {
        file: 'raft/reads/reads.js',
        right: 'return core.log.term(core.log.commit) === core.term;',
        wrong: 'return core.term > 0;',
      },
    ],
    aim: { faults: [...elections, 'transfer'], shape: { calm: 2 } },
  },
  {
    name: 'read-without-heartbeat-round',
    changes: [
      {
        file: 'raft/reads/reads.js',
        right: '    startRead(core, message); if (core.reads.count > 0) { broadcastHeartbeat(core); } } /** The first',
        wrong: '    answer(core, message, core.log.commit); } /** The first',
      },
    ],
    aim: { faults: ['isolated-leader', 'pause', 'bridge'], shape: { calm: 2 } },
  },
  {
    name: 'follower-commits-past-its-last-match',
    changes: [
      {
        file: 'raft/roles/heartbeat.js',
        right: 'const commit = logIndex(Math.min(progress.match, core.log.commit));',
        wrong: 'const commit = core.log.commit;',
      },
      {
        file: 'raft/roles/follower.js',
        right: '    core.log.commitTo(commit); ',
        wrong: '    core.log.commitTo(logIndex(Math.min(commit, core.log.lastIndex))); ',
      },
    ],
    aim: { faults: [...elections, 'one-way-cut', 'loss'], shape: { calm: 2, stormPace: 0.2 } },
  },
  {
    name: 'older-snapshot-over-newer-state',
    changes: [
      {
        file: 'raft/roles/follower.js',
        right: 'if (index <= core.log.commit) { return false;',
        wrong: 'if (index === 0) { return false;',
      },
      {
        file: 'raft/roles/follower.js',
        right: 'if (core.log.matches({ index, term })) {',
        wrong: 'if (index === 0) {',
      },
    ],
    aim: {
      faults: ['late-snapshot', 'delay', 'crash', 'isolated-leader', 'duplication', 'reordering', 'transfer'],
      shape: { calm: 2, stormPace: 0.2 },
    },
  },
  {
    name: 'compaction-before-the-state-is-durable',
    changes: [
      {
        file: 'replica/driver/log-upkeep.js',
        right: 'const persisted = tail.persisted.index;',
        wrong: 'const persisted = this.#parts.applied.meta.index;',
      },
      {
        file: 'replica/driver/log-tail.js',
        right: 'invariant(term !== undefined && through <= this.#persisted.index, ',
        wrong: 'invariant(term !== undefined, ',
      },
      {
        file: 'storage/key-value-log-store.js',
        right: 'if (through > applied.index) ',
        wrong: 'if (through > applied.index + 1e9) ',
      },
    ],
    aim: { faults: ['snapshots', 'crash'] },
  },
  {
    name: 'applied-index-in-a-separate-write',
    changes: [
      {
        file: 'storage/key-value-log-store.js',
        right: 'await this.#backend.write(operations); this.#content = content;',
        wrong:
          'const state = operations.filter(({ key }) => key[0] === 0x73); if (state.length > 0) await this.#backend.write(state); await this.#backend.write(operations.filter(({ key }) => key[0] !== 0x73)); this.#content = content;',
      },
    ],
    aim: { faults: ['crash', 'storage-crash', 'restart-all', 'slow-disk'], shape: { calm: 2 } },
  },
  {
    name: 'truncation-and-append-apart',
    changes: [
      {
        file: 'storage/key-value-log-store.js',
        right: 'await this.#backend.write(operations); this.#content = content;',
        wrong:
          'const last = Buffer.from(entryKey(this.#content.head.lastIndex)); const replaced = operations.filter(({ key }) => key[0] === 0x6c && Buffer.compare(key, last) <= 0); if (replaced.length > 0) await this.#backend.write(replaced.map(({ key }) => ({ type: "del", key }))); await this.#backend.write(operations); this.#content = content;',
      },
    ],
    aim: {
      faults: [...elections, 'storage-crash', 'slow-disk'],
      shape: { calm: 2, stormPace: 0.2, storageCrash: 0.02 },
    },
  },
  {
    name: 'handle-used-on-after-a-failed-write',
    changes: [
      {
        file: 'storage/key-value-log-store.js',
        right: 'this.#failure ??= failure; this.#resolvePoisoned(this.#failure);',
        wrong: '',
      },
      {
        file: 'replica/driver/storage-writer.js',
        right: 'await this.#store.write(write);',
        wrong: 'await this.#store.write(write).catch(() => this.#store.write(write));',
      },
    ],
    aim: { faults: ['disk-error', 'disk-full', 'crash'] },
  },
  {
    name: 'expiry-judged-by-the-local-clock',
    changes: [
      {
        file: 'ipam/changes/departure.js',
        right: "const freed = depart(writer, agent, 'expire', agentId, false);",
        wrong:
          "if (globalThis.subletLocalClock() < agent.registeredAt + plan.settings.reclaimMs) return staleEpoch(plan, action, agentId, epoch); const freed = depart(writer, agent, 'expire', agentId, false);",
      },
    ],
    aim: {
      faults: ['wall-clock'],
      shape: { timing: slowTiming, reclaimMs: 60_000, quarantineMs: 900_000, calm: 1 },
    },
  },
  {
    name: 'quarantine-missing-from-the-snapshot',
    changes: [
      {
        file: 'storage/snapshots/snapshot-source.js',
        right: 'chunk.push({ key, value });',
        wrong: 'if (key[0] !== 7) chunk.push({ key, value });',
      },
    ],
    aim: { faults: ['snapshots', 'crash', 'isolated-leader', 'agent-leave'], shape: { calm: 2 } },
  },
  {
    name: 'reuse-before-quarantine-ends',
    changes: [
      {
        file: 'ipam/space/block-pool.js',
        right: 'return longestFree !== undefined && longestFree.until <= time ? longestFree.block : undefined;',
        wrong: 'return longestFree?.block;',
      },
    ],
    aim: { faults: ['agent-leave'] },
  },
  {
    name: 'iteration-order-reaches-the-state',
    changes: [
      {
        file: 'ipam/space/block-pool.js',
        right: 'const longestFree = this.#idle.first()?.[0];',
        wrong:
          'const rested = [...this.#freed].find(([block, until]) => until <= time && !this.#excluded.has(block) && this.#reserved.get(block) === undefined); const longestFree = rested && { block: rested[0], until: rested[1] };',
      },
    ],
    aim: {
      faults: ['crash', 'restart-all', 'agent-leave'],
      shape: { calm: 2, quarantineMs: 2000, reclaimMs: undefined, storm: 20, stormPace: 0.2 },
    },
  },
  {
    name: 'fresh-blocks-in-adoption',
    changes: [
      {
        file: 'ipam/space/allocation.js',
        right: 'if (sources.plan.meta.adoption) { // What',
        wrong: 'if (sources.time < 0) { // What',
      },
    ],
    aim: {
      faults: ['lost-cluster', 'crash', 'single-cut', 'slow-disk', 'agent-crash', 'agent-leave'],
      shape: { calm: 2, masters: 3, quarantineMs: 2000, reclaimMs: undefined },
    },
  },
  {
    name: 'stale-epoch-accepted',
    changes: [
      {
        file: 'ipam/changes/departure.js',
        right: 'if (agent?.epoch !== epoch) { ',
        wrong: 'if (agent === undefined) { ',
      },
    ],
    aim: { faults: ['loss', 'delay'] },
  },
  {
    name: 'second-holder-accepted',
    changes: [
      {
        file: 'ipam/changes/claim.js',
        right: 'if (holder.instanceId === instanceId) ',
        wrong: 'if (holder.epoch > 0) ',
      },
    ],
    aim: { faults: ['agent-reinstall', 'agent-crash'], shape: { calm: 2 } },
  },
];
