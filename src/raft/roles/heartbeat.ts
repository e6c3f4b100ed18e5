/** A leader's heartbeats (Raft paper §5.2). */
import { type Core, peers, send } from '#raft/core.js';
import { logIndex } from '#raft/log/entry.js';

/** Heartbeats go to all peers whatever their state. They carry only a commit index that the peer can use. */
export function broadcastHeartbeat(core: Core): void {
  const context = core.reads.context;
  for (const [peer, progress] of peers(core)) {
    const commit = logIndex(Math.min(progress.match, core.log.commit));
    send(core, { kind: 'heartbeat', from: core.id, to: peer, term: core.term, commit, context });
    progress.sentCommit = commit;
  }
}
