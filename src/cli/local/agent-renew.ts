/** `sublet agent renew`: has the masters renew the certificate of this host's agent now. */
import type { Command } from 'commander';
import { JoinAnswerError } from '#api/join-client.js';
import { isServiceError, NoMasterError } from '#api/master-client.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { masterFailure } from '#cli/operator/refusal-words.js';
import type { TlsFolder } from '#cli/operator/tls-folder.js';
import { renewedFolder } from '#cli/process/agent-run.js';
import { noGrpcLogs } from '#cli/process/grpc-log.js';
import { renewAt, renewNow } from '#cli/process/joining.js';
import { loadConfig } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { agentSettings } from '#config/agent-settings.js';
import { type AgentConfig, loadAgentConfig } from '#config/files/agent-config.js';
import { formatHostPort } from '#config/host-port.js';
import { keepFilesPrivate } from '#files/private-folder.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TlsFileError, timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal } from '#tls/principal.js';

/** @throws Failure */
export async function renewAgentCertificate(command: Command, terminal: Terminal): Promise<void> {
  keepFilesPrivate();
  noGrpcLogs(process.env);
  const { config } = loadConfig(command, agentSettings, loadAgentConfig);
  const folder = folderOf(config);
  const masters = config.masters.map(formatHostPort);
  const wallClock = (): number => terminal.now();
  const note = (_: object, message: string): void => terminal.note(`${message}\n`);
  try {
    const certificate = new CertificateReloader({
      files: folder.files,
      allowed: ['agent'],
      timer: systemClock,
      wallClock,
      log: { info: () => undefined, warn: note, error: note },
    });
    await renewNow({ certificate, folder, wallClock, ask: (request) => renewAt(masters, certificate, request) });
    const { principal } = certificate.material;
    const ends = timeText(principal.endsMs);
    terminal.write(
      `Renewed the certificate of ${formatPrincipal(principal)} in ${folder.path}, valid until ${ends}.\n`,
    );
  } catch (error) {
    throw renewFailure(error);
  }
}

/** @throws Failure */
function folderOf(config: AgentConfig): TlsFolder {
  const folder = renewedFolder(config);
  if (folder === undefined) {
    throw new Failure(exitCodes.refused, 'the files of tls are for others to renew: tls.renew is off', [
      'Put a new certificate and its key in place of them, as `sublet ca issue agent ID` makes them.',
    ]);
  }
  if (folder.joined) return folder;
  throw new Failure(exitCodes.refused, `${folder.path} has no certificate: this agent has not joined`, [
    'Give the settings that the agent runs with; a new host joins with --join TOKEN.',
  ]);
}

function renewFailure(error: unknown): unknown {
  if (error instanceof TlsFileError) return new Failure(exitCodes.usage, error.message);
  if (error instanceof JoinAnswerError) return new Failure(exitCodes.refused, error.message);
  return error instanceof NoMasterError || isServiceError(error) ? masterFailure(error) : error;
}
