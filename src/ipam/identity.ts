/**
 * The identity of a caller: the stable id of an agent, the id of one installation of it, and the id of one process. All
 * are what the agent says; only their form is checked here.
 */
import type { Brand } from '#address/brand.js';
import { agentIdLengthMax, instanceIdLengthMax, runIdLengthMax } from '#ipam/limits.js';

/** The stable name of a host: 1–253 characters of `[A-Za-z0-9._:-]`. */
export type AgentId = Brand<string, 'AgentId'>;

/** Made anew with each installation of an agent's state: 1–64 characters of `[A-Za-z0-9._:-]`. */
export type InstanceId = Brand<string, 'InstanceId'>;

/** Drawn by each process of an agent when it starts: 1–64 characters of `[A-Za-z0-9._:-]`. */
export type RunId = Brand<string, 'RunId'>;

/** An id that has not the form of one. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
}

/** @throws IdentityError */
export function parseAgentId(text: string): AgentId {
  return checked(text, 'agent_id', agentIdLengthMax) as AgentId; // Brand constructor: checked.
}

/** @throws IdentityError */
export function parseInstanceId(text: string): InstanceId {
  return checked(text, 'instance_id', instanceIdLengthMax) as InstanceId; // Brand constructor: checked.
}

/** @throws IdentityError */
export function parseRunId(text: string): RunId {
  return checked(text, 'run_id', runIdLengthMax) as RunId; // Brand constructor: checked.
}

function checked(text: string, field: string, lengthMax: number): string {
  if (text.length === 0) throw new IdentityError(`${field} is empty: 1 to ${lengthMax} characters are allowed`);
  if (text.length > lengthMax) {
    const shown = `${text.slice(0, 32)}…`;
    throw new IdentityError(`${field} "${shown}" has ${text.length} characters: 1 to ${lengthMax} are allowed`);
  }
  if (!/^[A-Za-z0-9._:-]+$/.test(text)) {
    throw new IdentityError(`${field} ${JSON.stringify(text)} has other characters than [A-Za-z0-9._:-]`);
  }
  return text;
}
