/** Asks a server of this machine over HTTP: never by a proxy that the environment names for the web. */
import { Agent, get } from 'node:http';
import { type WholeAnswer, wholeAnswer } from '#cli/whole-answer.js';

/** The metrics of a master with 65,000 agents are a few MiB. */
const answerBytesMax = 64 * 1024 * 1024;

/**
 * The answer to GET `url`. `NODE_USE_ENV_PROXY` has Node.js send what `fetch` and the agent of all requests ask to the
 * proxies of `http_proxy`, so that each question has an agent of its own.
 * @param timeoutMs until the last byte
 * @throws Error when nothing answers, not in time, or with more than 64 MiB
 */
export async function getLocal(url: string, timeoutMs: number): Promise<WholeAnswer> {
  const agent = new Agent();
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await wholeAnswer(get(url, { agent, signal }), answerBytesMax);
  } catch (error) {
    if (signal.aborted) throw new Error(`no whole answer within ${timeoutMs} ms`, { cause: error });
    throw error;
  } finally {
    agent.destroy();
  }
}
