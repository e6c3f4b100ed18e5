/**
 * A client of the masters as a process of its own, to be started in a network namespace: runs a storm and asks single
 * masters on command. It ends when its parent does.
 */
import { MasterClient } from '#api/master-client.js';
import { clusterService, operatorService } from '#api/services.js';
import { Storm } from '#cluster-test/faults/storm.js';
import type { MasterState, ReadAnswer, StormCommand, StormReply } from '#cluster-test/faults/storm-protocol.js';
import { replicaView } from '#cluster-test/process/replica-view.js';
import { sublet as proto } from '#proto/sublet.js';

const statusTimeoutMs = 1_500;
/** A read may be sent to a master that is stopped for seconds; its answer is what matters. */
const readTimeoutMs = 30_000;
const once = { idempotent: true };
let storm: Storm | undefined;
const clients = new Map<string, MasterClient>();

function clientOf(address: string): MasterClient {
  const client = clients.get(address) ?? new MasterClient({ masters: [address] });
  clients.set(address, client);
  return client;
}

function running(): Storm {
  if (storm === undefined) throw new Error('no storm yet');
  return storm;
}

async function stateOf(address: string): Promise<MasterState> {
  const request = { ...once, timeoutMs: statusTimeoutMs };
  const answer = await clientOf(address).call(clusterService.getStatus, {}, request);
  const { name, role, leader, term, appliedIndex } = answer;
  const warnings = answer.warnings.map(({ message }) => message ?? '');
  return { name, leads: role === proto.v1.MemberRole.MEMBER_ROLE_LEADER, leader, term, appliedIndex, warnings };
}

async function read(address: string, agentId: string): Promise<ReadAnswer> {
  const request = { ...once, timeoutMs: readTimeoutMs };
  const { agent, revision } = await clientOf(address).call(operatorService.getAgent, { agentId }, request);
  return { revision, vtepIp: agent?.vxlan?.vtepIp ?? '' };
}

async function answer(command: StormCommand): Promise<unknown> {
  switch (command.kind) {
    case 'go':
      storm = new Storm(command.plan);
      return null;
    case 'pause':
      await running().pause();
      return null;
    case 'resume':
      running().resume();
      return null;
    case 'counts':
      return running().counts;
    case 'ask-all-again':
      await running().askAllAgain();
      return running().counts;
    case 'status':
      return stateOf(command.address);
    case 'view':
      return replicaView(command.address);
    case 'read':
      return read(command.address, command.agentId);
    default:
      throw new Error(`unknown command ${JSON.stringify(command satisfies never)}`);
  }
}

function reply(message: StormReply): void {
  process.send?.(message);
}

process.on('message', ({ id, command }: { id: number; command: StormCommand }) => {
  answer(command).then(
    (value) => reply({ kind: 'answer', id, value }),
    (error: unknown) => reply({ kind: 'error', id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));
