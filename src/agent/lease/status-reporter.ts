/** Tells the masters how each overlay fares on this host, once for each lease and again whenever it changes. */
import type { AgentLog } from '#agent/agent-log.js';
import { type KeepAliveRequest, type MasterApi, MasterError, type ReportStatusRequest } from '#agent/master-api.js';
import type { HostOverlayStatus } from '#host/host-status.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import { type Backoff, jitteredBackoffMs } from '#time/backoff.js';

/** Changes within this time are reported together; ms. */
const gatherMs = 200;
const retryBackoff: Backoff = { baseMs: 1_000, capMs: 60_000 };
/** Characters of an error that the masters keep. */
const errorLengthMax = 1024;

export type StatusReporterOptions = {
  readonly api: MasterApi;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: AgentLog;
  /** The masters know no lease of this epoch any more. */
  readonly fenced: (error: MasterError) => void;
};

export class StatusReporter {
  readonly #options: StatusReporterOptions;
  #lease: KeepAliveRequest | undefined;
  #overlays: readonly HostOverlayStatus[] | undefined;
  /** The last report to the masters, and its epoch. */
  #reported = '';
  #sending = false;
  #attempt = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(options: StatusReporterOptions) {
    this.#options = options;
  }

  /** Reports are made for this lease from now on; undefined: none are made. */
  setLease(lease: KeepAliveRequest | undefined): void {
    this.#lease = lease;
    this.#attempt = 0;
    this.#schedule(gatherMs);
  }

  setOverlays(overlays: readonly HostOverlayStatus[]): void {
    this.#overlays = overlays;
    this.#schedule(gatherMs);
  }

  stop(): void {
    this.#lease = undefined;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #schedule(delayMs: number): void {
    if (this.#lease === undefined || this.#overlays === undefined) return;
    if (this.#sending || this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined;
      void this.#send();
    });
  }

  async #send(): Promise<void> {
    const { api, random } = this.#options;
    if (this.#lease === undefined || this.#overlays === undefined) return;
    const request: ReportStatusRequest = { ...this.#lease, overlays: this.#overlays.map(reportOf) };
    const text = JSON.stringify(request);
    if (text === this.#reported || request.overlays?.length === 0) return;
    this.#sending = true;
    let delayMs = gatherMs;
    try {
      await api.reportStatus(request);
      this.#reported = text;
      this.#attempt = 0;
    } catch (error) {
      if (!(error instanceof MasterError)) throw error;
      delayMs = this.#failed(error, request) ? jitteredBackoffMs(retryBackoff, this.#attempt++, random) : gatherMs;
    } finally {
      this.#sending = false;
    }
    // What has changed meanwhile, or was not reported, goes out next.
    this.#schedule(delayMs);
  }

  /** Whether to try again. */
  #failed(error: MasterError, request: ReportStatusRequest): boolean {
    const { log, fenced } = this.#options;
    if (error.kind === 'aborted') {
      if (this.#lease?.epoch === request.epoch) {
        this.#lease = undefined;
        fenced(error);
      }
      return false;
    }
    log.warn({ status: error.status, error: error.message }, 'the status of the overlays was not reported');
    return true;
  }
}

function reportOf(overlay: HostOverlayStatus): sublet.v1.OverlayReport.$Properties {
  const { OverlayStatus } = sublet.v1;
  switch (overlay.kind) {
    case 'ok':
      return { overlay: overlay.name, state: { status: OverlayStatus.OVERLAY_STATUS_OK } };
    case 'configuring':
      return { overlay: overlay.name, state: { status: OverlayStatus.OVERLAY_STATUS_CONFIGURING } };
    case 'planned':
      return { overlay: overlay.name, state: { status: OverlayStatus.OVERLAY_STATUS_PLANNED } };
    case 'failed': {
      const error = overlay.error.slice(0, errorLengthMax);
      return { overlay: overlay.name, state: { status: OverlayStatus.OVERLAY_STATUS_FAILED, error } };
    }
  }
}
