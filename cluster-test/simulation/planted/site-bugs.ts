/** Deliberate bugs in what guards a site that copies state: hosts that are cloned, stores that are put back. */
import type { Bug } from '#cluster-test/simulation/planted/bug.js';
import { slowTiming } from '#cluster-test/simulation/world/timings.js';

export const siteBugs: readonly Bug[] = [
  {
    name: 'store-put-back-not-found',
    changes: [
      {
        file: 'replica/members/store-facts.js',
        right: 'const contradiction = fact === undefined ? undefined : contradictionOf(',
        wrong: 'const contradiction = fact === undefined || fact !== undefined ? undefined : contradictionOf(',
      },
    ],
    aim: { faults: ['put-back', 'crash'] },
  },
  {
    name: 'proof-after-most-went-back-ignored',
    changes: [
      {
        file: 'master/leader/history-guard.js',
        right: 'return ipam.proofIn(testimony, lastIndex);',
        wrong: 'return undefined;',
      },
    ],
    aim: { faults: ['most-put-back', 'crash'], shape: { calm: 2 } },
  },
  {
    name: 'another-incarnation-not-heeded',
    changes: [
      {
        file: 'master/leader/other-incarnations.js',
        right: 'if (problem !== undefined)',
        wrong: 'if (problem === this)',
      },
    ],
    aim: { faults: ['restored-twice', 'agent-reinstall', 'agent-crash'], shape: { calm: 2, timing: slowTiming } },
  },
  {
    name: 'second-process-accepted',
    changes: [
      { file: 'master/leases/lease-processes.js', right: 'if (silentMs >= currentMs)', wrong: 'if (silentMs >= 0)' },
    ],
    aim: { faults: ['agent-clone'], shape: { calm: 2 } },
  },
  {
    name: 'refused-copy-keeps-its-data-plane',
    changes: [{ file: 'agent/agent.js', right: 'this.term.held(error.samePlace);', wrong: '' }],
    aim: { faults: ['agent-clone'], shape: { timing: slowTiming, storm: 4, calm: 1 } },
  },
  {
    name: 'copied-run-id-kept',
    changes: [{ file: 'agent/agent.js', right: 'this.#checkNodeIpOf(response);', wrong: '' }],
    aim: { faults: ['agent-clone'], shape: { timing: slowTiming, storm: 4, calm: 1 } },
  },
  {
    name: 'left-address-not-given',
    changes: [
      {
        file: 'master/leases/left-addresses.js',
        right: 'return left?.nodeIp === nodeIp && ',
        wrong: 'return left === nodeIp && ',
      },
    ],
    aim: { faults: ['agent-shuffle'], shape: { timing: slowTiming, storm: 4, calm: 0.5 } },
  },
  {
    name: 'adoption-not-begun',
    changes: [
      {
        file: 'master/leader/history-guard.js',
        right: 'if (proof !== undefined) await this.#begin(',
        wrong: 'if (this === undefined) await this.#begin(',
      },
    ],
    aim: { faults: ['all-put-back', 'crash'], shape: { calm: 2 } },
  },
  {
    name: 'epochs-not-raised-at-adoption',
    changes: [{ file: 'ipam/plan-writer.js', right: 'this.#meta = { ...this.#meta, epochBase };', wrong: '' }],
    aim: { faults: ['all-put-back', 'crash'], shape: { calm: 2 } },
  },
];
