/** Where the lines of grpc-js go: it would write them to stderr, beside what the command says. */
import { setLogger } from '@grpc/grpc-js';
import type { Logger } from '#cli/process/log.js';

/** Into the log, at its lowest level: what matters of it reaches its callers as errors. */
export function grpcLogs(log: Logger): void {
  const say = (...words: readonly unknown[]): void => log.trace({ from: 'grpc-js' }, words.map(String).join(' '));
  setLogger({ error: say, info: say, debug: say });
}

/** Nowhere, unless gRPC's own variables ask for them. */
export function noGrpcLogs(env: NodeJS.ProcessEnv): void {
  if (env.GRPC_TRACE || env.GRPC_VERBOSITY) return;
  const say = (): void => {};
  setLogger({ error: say, info: say, debug: say });
}
