/** What a driver with asynchronous storage writes does beyond sending: see `Ready.messages`. */
import type { Message } from '#raft/message.js';

/**
 * The messages of a Ready, with the requests for votes moved to where they may leave: with the write that makes their
 * term stable. The core hands them out at once; but a candidate that asks sooner can be elected by others before its
 * own disk has the term, crash, campaign in the same term again, and lead it a second time with another log.
 */
export function withHeldVotes(messages: readonly Message[]): readonly Message[] {
  const votes = messages.filter(({ kind }) => kind === 'vote');
  if (votes.length === 0) {
    return messages;
  }
  return messages.flatMap((message): readonly Message[] => {
    if (message.kind === 'vote') {
      return [];
    }
    if (message.kind !== 'storage-append') {
      return [message];
    }
    return [{ ...message, responses: [...votes, ...message.responses] }];
  });
}
