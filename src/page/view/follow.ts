/** Follows the plan: the watch of `/ui/events`, taken up again where it was when the connection is lost. */
import type { PlanModel } from '#page/plan/plan-model.js';
import { type Chunk, readChunk, readWatch } from '#page/plan/wire.js';

export type Following = 'connecting' | 'live' | 'lost';

const backoffMsMin = 1_000;
const backoffMsMax = 15_000;

/** Calls `changed` after each message that shows. Returns what ends it. */
export function follow(
  model: PlanModel,
  changed: () => void,
  stateIs: (state: Following, why: string) => void,
): () => void {
  let source: EventSource | undefined;
  let timer = 0;
  let backoffMs = backoffMsMin;
  let ended = false;
  const open = (): void => {
    // In order, although a chunk takes its time to be inflated.
    let queue: Promise<void> = Promise.resolve();
    const { clusterId, revision, branch } = model;
    const from = model.isLoaded ? { cluster: clusterId, revision: String(revision), branch } : {};
    const opened = new EventSource(`/ui/events?${new URLSearchParams(from)}`);
    source = opened;
    const lost = (why: string): void => {
      if (source !== opened || ended) return;
      opened.close();
      source = undefined;
      stateIs('lost', why);
      timer = setTimeout(open, backoffMs);
      backoffMs = Math.min(backoffMsMax, backoffMs * 2);
    };
    opened.addEventListener('message', ({ data }) => {
      queue = queue.then(async () => {
        if (source !== opened) return;
        const message = readWatch(bytesOf(data));
        const inflated = message.kind === 'deflated' ? await inflate(message.bytes) : undefined;
        if (source !== opened) return;
        const shows = model.take(message, inflated);
        if (model.isLoaded) {
          backoffMs = backoffMsMin;
          stateIs('live', '');
        }
        if (shows) changed();
      });
      queue.catch((error: unknown) => lost(String(error)));
    });
    opened.addEventListener('end', ({ data }) => lost(JSON.parse(data)));
    opened.addEventListener('error', () => lost('the connection to the master was lost'));
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source?.close();
  };
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

async function inflate(bytes: Uint8Array): Promise<Chunk> {
  const body = new Blob([Uint8Array.from(bytes)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return readChunk(new Uint8Array(await new Response(body).arrayBuffer()));
}
