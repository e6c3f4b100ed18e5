/** What the commands of operators share: which masters, which form of output, and the call itself. */

import { join } from 'node:path';
import type { Command } from 'commander';
import { MasterClient } from '#api/master-client.js';
import type { Method } from '#api/method.js';
import { responseJson } from '#api/proto-json.js';
import { argument, Failure, usage } from '#cli/failure.js';
import { type ConnectionSetting, connectionSetting } from '#cli/operator/connection-setting.js';
import { masterFailure } from '#cli/operator/refusal-words.js';
import { type Form, formOf, forPeople, writeValue } from '#cli/output/form.js';
import { noGrpcLogs } from '#cli/process/grpc-log.js';
import type { Terminal } from '#cli/terminal.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { parseDuration } from '#text/duration.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TlsFileError, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { explainConnection } from '#tls/connection-probe.js';

export type Operator = {
  readonly client: MasterClient;
  readonly output: Form;
  readonly terminal: Terminal;
  /** Of the caller; undefined: without TLS. */
  readonly material: TlsMaterial | undefined;
};

const mastersMax = 9;
/** The admin socket of a master on this machine. */
const socketPattern = /^unix:(\/[^,]+)$/;

/** The masters to ask: `--master`, else SUBLET_MASTER, else the context's, else the one on this machine; or one `unix:/PATH`. */
export function mastersOf(command: Command): readonly string[] {
  const { from: name, value: text } = connectionSetting(command, 'master') ?? { from: '', value: '127.0.0.1:7070' };
  if (socketPattern.test(text)) return [text];
  if (text.startsWith('unix:')) {
    throw usage(
      `${name}: "${text}" has another form: unix:/PATH is allowed, one absolute path to the admin.sock of a master`,
    );
  }
  const masters = text.split(',').map((each) => formatHostPort(argument(name, each.trim(), parseHostPort)));
  if (masters.length > mastersMax) throw usage(`${name}: ${masters.length} addresses are more than ${mastersMax}`);
  return masters;
}

/** Runs a command's work against the masters; whatever they refuse comes out as a `Failure`. */
export async function operate(
  command: Command,
  terminal: Terminal,
  work: (operator: Operator) => Promise<void>,
): Promise<void> {
  const output = formOf(command);
  noGrpcLogs(process.env);
  const options = { masters: mastersOf(command), ...timeoutOf(connectionSetting(command, 'timeout')) };
  // The admin socket has no TLS: the mode of its file decides which users may connect.
  const isSocket = options.masters.some((master) => socketPattern.test(master));
  const certificate = isSocket ? undefined : certificateOf(command, terminal);
  const client = new MasterClient({
    ...options,
    ...(certificate === undefined ? {} : { credentials: masterCredentials(certificate.start()) }),
    explain: (master) => explainConnection(master, certificate?.material),
  });
  try {
    await work({ client, output, terminal, material: certificate?.material });
  } catch (error) {
    throw error instanceof Failure ? error : masterFailure(error);
  } finally {
    client.close();
    certificate?.stop();
  }
}

/**
 * By `--tls-…`, else a folder by `--tls`, else by SUBLET_TLS_… or SUBLET_TLS, else by the context; all three together, or
 * none. @throws Failure
 */
function certificateOf(command: Command, terminal: Terminal): CertificateReloader | undefined {
  const folder = connectionSetting(command, 'tls');
  const [ca, cert, key] = [tlsFile(command, 'ca'), tlsFile(command, 'cert'), tlsFile(command, 'key')];
  if (ca === undefined && cert === undefined && key === undefined) return undefined;
  if (ca === undefined || cert === undefined || key === undefined) {
    throw usage('--tls-ca, --tls-cert and --tls-key go together: give all three, or none');
  }
  try {
    const note = (_: object, message: string): void => terminal.note(`${message}\n`);
    const log = { info: () => undefined, warn: note, error: note };
    const allowed = ['agent', 'viewer', 'operator', 'admin'] as const;
    return new CertificateReloader({ files: { ca, cert, key }, allowed, timer: systemClock, log });
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    // The setting that has named the file, and the folder that would do.
    const named = (name: string): string => {
      const file = connectionSetting(command, `tls-${name}` as 'tls-ca' | 'tls-cert' | 'tls-key');
      return folder !== undefined && rank(folder) < rank(file) ? folder.from : (file?.from ?? folder?.from ?? '');
    };
    const message = error.message.replace(/^tls\.(ca|cert|key)/, (_, name: string) => named(name));
    const hint = 'Name the folder that has your ca.pem, cert.pem and key.pem with --tls DIR or SUBLET_TLS.';
    throw usage(message, ...(/there is no such file/.test(message) ? [hint] : []));
  }
}

/** The file that the settings name; undefined: none. */
export function tlsFile(command: Command, part: 'ca' | 'cert' | 'key'): string | undefined {
  const folder = connectionSetting(command, 'tls');
  const file = connectionSetting(command, `tls-${part}`);
  const inFolder = folder === undefined ? undefined : join(folder.value, `${part}.pem`);
  // A folder that a flag names counts more than a file that the environment names, and likewise before the context.
  return file !== undefined && rank(file) <= rank(folder) ? file.value : (inFolder ?? file?.value);
}

/** The lower, the more it counts: flags, the environment, the context, nothing. */
function rank(setting: ConnectionSetting | undefined): number {
  if (setting === undefined) return 3;
  return setting.from.startsWith('--') ? 0 : setting.from.startsWith('SUBLET_') ? 1 : 2;
}

function timeoutOf(setting: ConnectionSetting | undefined): { readonly timeoutMs?: number } {
  if (setting === undefined) return {};
  const { value: text, from } = setting;
  const timeoutMs = parseDuration(text);
  if (timeoutMs === undefined || timeoutMs < 1 || timeoutMs > 600_000) {
    throw usage(`${from}: "${text}" is not a duration from 1ms to 10m, like 5s`);
  }
  return { timeoutMs };
}

/** Prints a response: as `table` has it, or in a form that is made of its canonical proto JSON. */
export function print<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  { output, terminal }: Operator,
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  response: Response,
  table: () => string,
): void {
  if (forPeople(output)) terminal.write(table());
  else writeValue(output, responseJson(method, response), terminal);
}
