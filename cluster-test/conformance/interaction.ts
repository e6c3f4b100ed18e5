/**
 * The interaction environment: a small cluster of cores, an in-memory network, and the commands that drive them
 * (README of the conformance folder, sections 3 to 6).
 */

import { addNodes, electionTicks } from '#cluster-test/conformance/add-nodes.js';
import { describeEntry, describeMessage, describeProgress, describeRole } from '#cluster-test/conformance/describe.js';
import { deliverDirective, Network } from '#cluster-test/conformance/network.js';
import { type Node, outcome } from '#cluster-test/conformance/node.js';
import { parseOperations } from '#cluster-test/conformance/operations.js';
import { CommandError, Output } from '#cluster-test/conformance/output.js';
import {
  type Argument,
  type Directive,
  parseBoolean,
  parseNumber,
  ScriptError,
  singleValue,
} from '#cluster-test/conformance/script.js';
import { type ConfChangeTransition, encodeConfChange, noContext } from '#raft/confchange/conf-change.js';
import { type Entry, logIndex, memberId, noIndex, noMember, noTerm } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import { isVoter } from '#raft/tracker/quorum.js';

type Command = (directive: Directive) => void;

/** Passes of one `stabilize`: no file comes near; a cluster that never comes to rest is an error. */
const passesMax = 10_000;

export class Interaction {
  readonly #output = new Output();
  readonly #nodes: Node[] = [];
  readonly #network = new Network(this.#nodes, this.#output);
  readonly #commands: ReadonlyMap<string, Command> = new Map<string, Command>([
    ['_breakpoint', () => {}],
    ['add-nodes', (directive) => addNodes(this.#nodes, directive)],
    ['campaign', ({ args }) => this.#nodeOf(args).raft.campaign()],
    ['compact', ({ args }) => this.#compact(args)],
    ['deliver-msgs', ({ args }) => deliverDirective(this.#network, this.#output, args)],
    ['forget-leader', ({ args }) => this.#nodeOf(args).raft.forgetLeader()],
    ['log-level', ({ args }) => this.#output.setLevel(bareKeys(args)[0] ?? '')],
    ['process-append-thread', ({ args }) => this.#each(args, 'processing append thread', appendOnce)],
    ['process-apply-thread', ({ args }) => this.#each(args, 'processing apply thread', applyOnce)],
    ['process-ready', ({ args }) => this.#each(args, 'handling Ready', readyOnce)],
    ['propose', ({ args }) => this.#propose(args)],
    ['propose-conf-change', (directive) => this.#proposeConfChange(directive)],
    ['raft-log', ({ args }) => this.#raftLog(this.#nodeOf(args))],
    ['raft-state', () => this.#raftState()],
    ['report-unreachable', ({ args }) => this.#reportUnreachable(args)],
    ['send-snapshot', ({ args }) => this.#sendSnapshot(args)],
    ['set-randomized-election-timeout', ({ args }) => this.#setElectionTimeout(args)],
    ['stabilize', ({ args }) => this.#stabilize(args)],
    ['status', ({ args }) => this.#status(this.#nodeOf(args))],
    ['tick-election', ({ args }) => tick(this.#nodeOf(args), electionTicks)],
    ['tick-heartbeat', ({ args }) => tick(this.#nodeOf(args), 1)],
    ['transfer-leadership', ({ args }) => this.#transferLeadership(args)],
  ]);

  /** Runs one directive and gives its output. Throws on what no file may expect. */
  run(directive: Directive): string {
    return this.#output.capture(() => {
      const command = this.#commands.get(directive.command);
      if (command === undefined) {
        throw new CommandError('unknown command');
      }
      outcome(() => command(directive));
    });
  }

  #node(id: string): Node {
    const node = this.#nodes[parseNumber(id) - 1];
    if (node === undefined) {
      throw new ScriptError(`node ${id} does not exist`);
    }
    return node;
  }

  /** The node that the first argument names. */
  #nodeOf(args: readonly Argument[]): Node {
    return this.#node(args[0]?.key ?? '');
  }

  /** Runs `action` on the nodes named: plainly on one, with headers and indented on several. */
  #each(args: readonly Argument[], header: string, action: NodeAction): void {
    const nodes = bareKeys(args).map((id) => this.#node(id));
    for (const node of nodes) {
      const run = (): void => action(node, this.#output, this.#network.inFlight);
      if (nodes.length === 1) {
        run();
      } else {
        this.#section(node, header, run);
      }
    }
  }

  #section(node: Node, header: string, run: () => void): void {
    this.#output.line(`> ${node.id} ${header}`);
    this.#output.indented(run);
  }

  #propose(args: readonly Argument[]): void {
    const [, data] = args;
    if (args.length !== 2 || data === undefined) {
      throw new ScriptError(`propose takes a node and data, but has ${args.length} arguments`);
    }
    this.#nodeOf(args).raft.propose([new TextEncoder().encode(data.key)]);
  }

  #proposeConfChange({ args, input }: Directive): void {
    const node = this.#nodeOf(args);
    let v1 = false;
    let transition: ConfChangeTransition = 'auto';
    for (const argument of args.slice(1)) {
      for (const value of argument.values) {
        switch (argument.key) {
          case 'v1':
            v1 = parseBoolean(value);
            break;
          case 'transition':
            transition = parseTransition(value);
            break;
          default:
            throw new CommandError(`unknown command ${argument.key}`);
        }
      }
    }
    const operations = parseOperations(input);
    if (v1 && (operations.length > 1 || transition !== 'auto')) {
      throw new CommandError('v1 conf change can only have one operation and no transition');
    }
    const type = v1 ? 'conf-change' : 'conf-change-v2';
    const data = encodeConfChange({ transition, operations, context: noContext }, type);
    const entry: Entry = { term: noTerm, index: noIndex, type, data };
    // By message: a change that is refused becomes an empty entry then, instead of an error.
    node.raft.step({ kind: 'propose', from: noMember, to: node.id, term: noTerm, entries: [entry] });
  }

  #setElectionTimeout(args: readonly Argument[]): void {
    const timeout = args.find(({ key }) => key === 'timeout');
    const ticks = timeout === undefined ? 0 : parseNumber(singleValue(timeout));
    if (ticks === 0) {
      throw new ScriptError('timeout must be given, above 0');
    }
    this.#nodeOf(args).raft.setElectionTimeout(ticks);
  }

  #transferLeadership(args: readonly Argument[]): void {
    const [from, to] = ['from', 'to'].map((name) => {
      const argument = args.find(({ key }) => key === name);
      return this.#node(argument === undefined ? '' : singleValue(argument));
    });
    if (from !== undefined && to !== undefined) {
      from.raft.transferLeadership(to.id);
    }
  }

  #reportUnreachable(args: readonly Argument[]): void {
    const [on, of] = bareKeys(args);
    if (args.length !== 2 || on === undefined || of === undefined) {
      throw new CommandError('must specify exactly two node indexes: node on which to report, and reported node');
    }
    this.#node(on).raft.reportUnreachable(this.#node(of).id);
  }

  #sendSnapshot(args: readonly Argument[]): void {
    const [from, to] = bareKeys(args);
    const sender = this.#node(from ?? '');
    const message: Message = {
      kind: 'snapshot',
      from: sender.id,
      to: memberId(parseNumber(to ?? '')),
      term: sender.raft.status().term,
      snapshot: sender.lastSnapshot,
    };
    this.#network.inFlight.push(message);
    this.#output.write(describeMessage(message));
  }

  #compact(args: readonly Argument[]): void {
    const [id, index] = bareKeys(args);
    const node = this.#node(id ?? '');
    node.log.compact(logIndex(parseNumber(index ?? '')));
    this.#raftLog(node);
  }

  #raftLog({ log }: Node): void {
    const first = log.firstIndex();
    const last = log.lastIndex();
    if (last < first) {
      this.#output.write(`log is empty: first index=${first}, last index=${last}`);
      return;
    }
    for (const entry of log.entries(first, logIndex(last + 1), Number.POSITIVE_INFINITY)) {
      this.#output.line(describeEntry(entry));
    }
  }

  #raftState(): void {
    for (const { id, raft } of this.#nodes) {
      const { role, confState, term, leader } = raft.status();
      const voter = isVoter(confState, id) ? '(Voter)' : '(Non-Voter)';
      this.#output.line(`${id}: ${describeRole(role)} ${voter} Term:${term} Lead:${leader}`);
    }
  }

  #status({ raft }: Node): void {
    for (const [member, peer] of raft.status().progress) {
      this.#output.line(`${member}: ${describeProgress(peer)}`);
    }
  }

  #stabilize(args: readonly Argument[]): void {
    const ids = bareKeys(args);
    const nodes = ids.length === 0 ? [...this.#nodes] : ids.map((id) => this.#node(id));
    const outer = this.#output.level;
    const level = args.find(({ key }) => key === 'log-level');
    try {
      if (level !== undefined) {
        this.#output.setLevel(singleValue(level));
      }
      let passes = 0;
      while (this.#pass(nodes)) {
        passes += 1;
        if (passes > passesMax) {
          throw new ScriptError(`the nodes do not come to rest within ${passesMax} passes`);
        }
      }
    } finally {
      this.#output.level = outer;
    }
  }

  /** One round over all nodes. Returns whether anything was done. */
  #pass(nodes: readonly Node[]): boolean {
    const { inFlight } = this.#network;
    let done = false;
    const inTurn = (header: string, pending: (node: Node) => boolean, run: (node: Node) => void): void => {
      for (const node of nodes.filter((candidate, at) => nodes.indexOf(candidate) === at)) {
        if (pending(node)) {
          done = true;
          this.#section(node, header, () => run(node));
        }
      }
    };
    inTurn(
      'handling Ready',
      ({ raft }) => raft.hasReady(),
      (node) => readyOnce(node, this.#output, inFlight),
    );
    inTurn(
      'receiving messages',
      ({ id }) => inFlight.some(({ to }) => to === id),
      ({ id }) => this.#network.deliver(id, undefined),
    );
    inTurn(
      'processing append thread',
      ({ appendWork }) => appendWork.length > 0,
      (node) => {
        while (node.appendWork.length > 0) {
          appendOnce(node, this.#output, inFlight);
        }
      },
    );
    inTurn(
      'processing apply thread',
      ({ applyWork }) => applyWork.length > 0,
      (node) => {
        while (node.applyWork.length > 0) {
          applyOnce(node, this.#output, inFlight);
        }
      },
    );
    return done;
  }
}

type NodeAction = (node: Node, output: Output, inFlight: Message[]) => void;
const readyOnce: NodeAction = (node, output, inFlight) => node.processReady(output, inFlight);
const appendOnce: NodeAction = (node, output, inFlight) => node.processAppend(output, inFlight);
const applyOnce: NodeAction = (node, output, inFlight) => node.processApply(output, inFlight);

function bareKeys(args: readonly Argument[]): readonly string[] {
  return args.filter(({ values }) => values.length === 0).map(({ key }) => key);
}

function tick({ raft }: Node, ticks: number): void {
  for (let done = 0; done < ticks; done += 1) {
    raft.delay();
  }
}

function parseTransition(value: string): ConfChangeTransition {
  if (value === 'auto' || value === 'implicit' || value === 'explicit') {
    return value;
  }
  throw new CommandError(`unknown transition ${value}`);
}
