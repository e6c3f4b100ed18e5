/** The id of an agent without a configured one: its first host name, also when the host is renamed later. */

import type { AgentLog } from '#agent/agent-log.js';
import type { AgentStore } from '#agent/state/store.js';
import { agentIdForm } from '#text/name-form.js';

/** The host name is no id. */
export class AgentIdError extends Error {
  override readonly name = 'AgentIdError';
}

export type AgentIdParts = {
  /** What was configured. */
  readonly given: string | undefined;
  readonly hostname: string;
  readonly store: Pick<AgentStore, 'lease'>;
  readonly log: AgentLog;
};

/** Host names of machines that were not named. */
const namesOfNobody: readonly string[] = ['localhost', 'localhost.localdomain', '(none)'];

/** @throws AgentIdError */
export function agentIdOf({ given, hostname, store, log }: AgentIdParts): string {
  if (given !== undefined) return given;
  const before = store.lease?.lease.agentId;
  if (before !== undefined) {
    if (before !== hostname) {
      log.warn(
        { id: before, hostname },
        `this host is named "${hostname}" now; its state_dir is of "${before}", and it goes on under that id. Set id to make it permanent; if the state_dir was copied from another host, stop this agent and remove it`,
      );
    }
    return before;
  }
  if (!agentIdForm.pattern.test(hostname) || namesOfNobody.includes(hostname)) {
    throw new AgentIdError(
      `id: the name of this host, ${JSON.stringify(hostname)}, is none to tell hosts apart by: give an id with --id`,
    );
  }
  return hostname;
}
