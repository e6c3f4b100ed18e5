/** One probe each, by the system's `ping`, since Node has no raw sockets. */
import type { PingProbe } from '#host/host-status.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';
import { isIpv6Text } from '#host/tools/text.js';
import { formatDuration } from '#text/duration.js';

const answerSeconds = 2;
/** Bytes of the small probe. */
export const smallBytes = 84;

export type ProbeRequest = {
  readonly path: PingProbe['path'];
  readonly to: string;
  /** Of the whole IP packet, sent with "don't fragment". */
  readonly packetBytes: number;
  /** Address that it is sent from; absent: the kernel's choice. */
  readonly from?: string;
};

/** An echo and its answer. */
export async function echo(run: Runner, request: ProbeRequest): Promise<PingProbe> {
  return sent(run, request, [], ({ code }) => code === 0);
}

/**
 * A packet that may make one hop, to an address behind the peer: the peer's kernel answers that its way ends there.
 * That comes before its firewall's INPUT and FORWARD, so it tells whether the tunnel works where echoes are dropped.
 */
export async function hop(run: Runner, request: ProbeRequest, peer: readonly string[]): Promise<PingProbe> {
  return sent(run, request, ['-t', '1'], ({ stdout }) => peer.some((ip) => answeredBy(stdout, ip)));
}

function answeredBy(stdout: string, ip: string): boolean {
  // An echo from behind the peer has made its way, too; the kernel's own "unreachable" comes from an address of ours.
  return stdout.split('\n').some((line) => line.startsWith(`From ${ip} `) || line.startsWith(`From ${ip}: `));
}

async function sent(
  run: Runner,
  { path, to, packetBytes, from }: ProbeRequest,
  extra: readonly string[],
  isOk: (result: { code: number | null; stdout: string }) => boolean,
): Promise<PingProbe> {
  const headers = isIpv6Text(to) ? 48 : 28;
  const source = from === undefined ? [] : ['-I', from];
  const size = ['-M', 'do', '-s', String(packetBytes - headers)];
  const args = ['-n', '-c', '1', '-W', String(answerSeconds), ...size, ...source, ...extra, to];
  try {
    const result = await run.run('ping', args, { timeoutMs: (answerSeconds + 2) * 1000 });
    const time = /time=([\d.]+) ms/.exec(result.stdout)?.[1];
    const ok = isOk(result);
    const says = ok ? 'answered' : reason(`${result.stdout}\n${result.stderr}`);
    return { path, packetBytes, ok, says, ...(time === undefined ? {} : { roundTripMs: Number(time) }) };
  } catch (error) {
    if (error instanceof ToolMissingError) return { path, packetBytes, ok: false, says: error.message };
    throw error;
  }
}

function reason(output: string): string {
  const line = output
    .split('\n')
    .find((text) => /unreachable|too long|exceeded|prohibited|not permitted|error|ping:/i.test(text));
  return line?.trim() ?? `no answer within ${formatDuration(answerSeconds * 1_000)}`;
}
