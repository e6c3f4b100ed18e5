/** The commands of `confchange/`: configuration-change arithmetic (README, section 9). */

import { describeConfiguration, describeProgress } from '#cluster-test/conformance/describe.js';
import { parseOperations } from '#cluster-test/conformance/operations.js';
import { CommandError } from '#cluster-test/conformance/output.js';
import { type Directive, parseBoolean, singleValue } from '#cluster-test/conformance/script.js';
import { logIndex, noIndex } from '#raft/log/entry.js';
import {
  emptyMembership,
  enterJoint,
  leaveJoint,
  MembershipError,
  type ProgressTracker,
  simpleChange,
} from '#raft/tracker/tracker.js';

const limits = { messagesMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

export class MembershipScript {
  #membership: ProgressTracker = emptyMembership;
  #lastIndex = noIndex;

  /** Runs one directive and gives its output. Throws on what no file may expect. */
  run(directive: Directive): string {
    try {
      this.#membership = this.#changed(directive);
      const { config, progress } = this.#membership;
      const peers = [...progress].map(([member, peer]) => `${member}: ${describeProgress(peer.status())}\n`);
      return `${describeConfiguration(config)}\n${peers.join('')}`;
    } catch (error) {
      if (error instanceof MembershipError || error instanceof CommandError) {
        return error.message;
      }
      throw error;
    } finally {
      this.#lastIndex = logIndex(this.#lastIndex + 1);
    }
  }

  #changed({ command, args, input }: Directive): ProgressTracker {
    const operations = parseOperations(input);
    const peers = { lastIndex: this.#lastIndex, limits };
    switch (command) {
      case 'simple':
        return simpleChange(this.#membership, operations, peers);
      case 'enter-joint': {
        const argument = args.find(({ key }) => key === 'autoleave');
        const autoLeave = argument !== undefined && parseBoolean(singleValue(argument));
        return enterJoint(this.#membership, { autoLeave, operations }, peers);
      }
      case 'leave-joint':
        if (operations.length > 0) {
          throw new CommandError('this command takes no input');
        }
        return leaveJoint(this.#membership);
      default:
        throw new CommandError('unknown command');
    }
  }
}
