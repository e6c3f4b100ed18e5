/** The in-memory network of the interaction environment: messages in flight, in order (README, 4.2). */

import { describeMessage, messageKind } from '#cluster-test/conformance/describe.js';
import { type Node, outcome } from '#cluster-test/conformance/node.js';
import { CommandError, type Output } from '#cluster-test/conformance/output.js';
import { type Argument, parseNumber, ScriptError, singleValue } from '#cluster-test/conformance/script.js';
import { appendThread, applyThread, type MemberId, memberId } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';

export class Network {
  /** May hold messages to nodes that do not exist yet. */
  readonly inFlight: Message[] = [];
  readonly #nodes: readonly Node[];
  readonly #output: Output;

  constructor(nodes: readonly Node[], output: Output) {
    this.#nodes = nodes;
    this.#output = output;
  }

  /** Delivers all messages to `id`, or those of one kind. Returns how many. */
  deliver(id: MemberId, kind: Message['kind'] | undefined): number {
    const messages = this.#take((message) => message.to === id && (kind ?? message.kind) === message.kind);
    const node = this.#nodes[id - 1];
    for (const message of messages) {
      if (node === undefined) {
        throw new ScriptError(`node ${id}, to which messages are to be delivered, does not exist`);
      }
      this.#output.line(describeMessage(message));
      try {
        outcome(() => node.raft.step(message));
      } catch (error) {
        if (!(error instanceof CommandError)) {
          throw error;
        }
        this.#output.line(error.message);
      }
    }
    return messages.length;
  }

  /** Loses all messages to `id`, or those of one kind; local ones can't be lost. Returns how many. */
  drop(id: MemberId, kind: Message['kind'] | undefined): number {
    const messages = this.#take(
      (message) => message.to === id && (kind ?? message.kind) === message.kind && !isLocal(message),
    );
    for (const message of messages) {
      this.#output.line(`dropped: ${describeMessage(message)}`);
    }
    return messages.length;
  }

  #take(test: (message: Message) => boolean): readonly Message[] {
    const taken = this.inFlight.filter(test);
    const left = this.inFlight.filter((message) => !test(message));
    this.inFlight.splice(0, this.inFlight.length, ...left);
    return taken;
  }
}

function isLocal({ from, to }: Message): boolean {
  return from === to || [from, to].some((end) => end === appendThread || end === applyThread);
}

/** `deliver-msgs`: recipients in the order written, plain or in `drop=(…)`, of one `type` if that is given. */
export function deliverDirective(network: Network, output: Output, args: readonly Argument[]): void {
  const typeArgument = args.findLast(({ key, values }) => key === 'type' && values.length > 0);
  const kind = typeArgument === undefined ? undefined : messageKind(singleValue(typeArgument));
  if (typeArgument !== undefined && kind === undefined) {
    throw new ScriptError(`there is no message type ${typeArgument.values.join(',')}`);
  }
  const named = new Set<MemberId>();
  const recipients: { readonly id: MemberId; readonly drop: boolean }[] = [];
  for (const { key, values } of args) {
    for (const text of values.length === 0 ? [key] : key === 'drop' ? values : []) {
      const id = memberId(parseNumber(text));
      const drop = values.length > 0;
      if (drop && named.has(id)) {
        throw new ScriptError(`messages to ${id} are both delivered and dropped, or dropped twice`);
      }
      named.add(id);
      recipients.push({ id, drop });
    }
  }
  let count = 0;
  for (const { id, drop } of recipients) {
    count += drop ? network.drop(id, kind) : network.deliver(id, kind);
  }
  if (count === 0) {
    output.line('no messages');
  }
}
