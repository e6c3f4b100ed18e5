/**
 * What a master tells Prometheus. Counters and latencies are kept as calls pass; everything else is looked up when
 * the page is asked for, so that it costs nothing in between.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { guardRefusals, type StreamGuard } from '#http2/stream-guard.js';
import type { PoolUsage } from '#ipam/space/usage.js';
import { type CallRates, rateNames } from '#master/access/rates.js';
import type { MasterServices } from '#master/master-services.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';
import { certificateMetrics } from '#tls/certificate/certificate-metrics.js';
import type { CertificateReport } from '#tls/certificate/certificate-reloader.js';

export type MetricsOptions = {
  readonly services: MasterServices;
  readonly status: () => ReplicaStatus;
  /** Bytes that the store takes on disk. */
  readonly storeBytes: () => Promise<number>;
  readonly version: string;
  /** By listener. */
  readonly doors?: () => readonly (readonly [
    string,
    { readonly connections: number; readonly connectionsMax: number; readonly refused: number },
  ])[];
  readonly rates?: Pick<CallRates, 'refused'> | undefined;
  /** Whether other machines reach it without TLS. */
  readonly insecure?: boolean;
  /** By listener. */
  readonly guards?: readonly (readonly [string, Pick<StreamGuard, 'refused' | 'bytes'>])[];
  /** Absent: there is no TLS. */
  readonly certificate?: CertificateReport;
};

/** In seconds: from a follower's memory to a lost leader. */
const latencyBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #calls: Counter<'method' | 'reason'>;
  readonly #latency: Histogram<'method'>;
  /** What calls that were not refused are counted with, by method: finding it by its labels costs more than counting. */
  readonly #answered = new Map<
    string,
    { readonly calls: Counter.Internal; readonly latency: Histogram.Internal<'method'> }
  >();
  readonly #registrations: Counter;
  readonly #writes: Histogram;

  constructor(options: MetricsOptions) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#calls = new Counter({
      name: 'sublet_calls_total',
      help: 'Unary calls that this master answered, handed on or not; reason is empty for those not refused.',
      labelNames: ['method', 'reason'],
      registers,
    });
    this.#latency = new Histogram({
      name: 'sublet_call_seconds',
      help: 'Time from the arrival of a unary call to its answer.',
      labelNames: ['method'],
      buckets: latencyBuckets,
      registers,
    });
    this.#registrations = new Counter({
      name: 'sublet_registrations_total',
      help: 'Registrations that this master answered with a lease.',
      registers,
    });
    this.#writes = new Histogram({
      name: 'sublet_storage_write_seconds',
      help: 'Time that a storage write took, its sync included.',
      buckets: latencyBuckets,
      registers,
    });
    const { storeBytes } = options;
    const size: Gauge = new Gauge({
      name: 'sublet_storage_bytes',
      help: 'Bytes that the store takes on disk, its ballast included.',
      registers,
      collect: async () => size.set(await storeBytes()),
    });
    this.#replicaGauges(options.status);
    this.#planGauges(options.services);
    this.#serviceGauges(options.services);
    this.#doorGauges(options.doors ?? (() => []));
    this.#guardCounters(options.guards ?? []);
    this.#rateCounter(options.rates);
    this.#clusterGauges(options);
    if (options.certificate !== undefined) certificateMetrics(this.#registry, options.certificate);
    this.#gauge('sublet_insecure', '1: other machines reach this master without TLS.', () =>
      options.insecure === true ? 1 : 0,
    );
    const info = new Gauge({ name: 'sublet_info', help: 'Always 1.', labelNames: ['version'], registers });
    info.set({ version: options.version }, 1);
  }

  /** Takes note of one storage write. */
  observeWrite(milliseconds: number): void {
    this.#writes.observe(milliseconds / 1000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Takes note of one call; for `apiServer`. */
  observe(path: string, milliseconds: number, refused: RefusedError | undefined): void {
    if (refused !== undefined) {
      this.#calls.inc({ method: path, reason: refused.reason });
      this.#latency.observe({ method: path }, milliseconds / 1000);
      return;
    }
    const { calls, latency } = this.#counted(path);
    calls.inc();
    latency.observe(milliseconds / 1000);
    if (path === agentService.register.path) this.#registrations.inc();
  }

  #counted(path: string): { readonly calls: Counter.Internal; readonly latency: Histogram.Internal<'method'> } {
    const known = this.#answered.get(path);
    if (known !== undefined) return known;
    const made = {
      calls: this.#calls.labels({ method: path, reason: '' }),
      latency: this.#latency.labels({ method: path }),
    };
    this.#answered.set(path, made);
    return made;
  }

  page(): Promise<string> {
    return this.#registry.metrics();
  }

  #replicaGauges(status: () => ReplicaStatus): void {
    this.#gauge('sublet_raft_is_leader', '1 while this master leads.', () => (status().role === 'leader' ? 1 : 0));
    this.#gauge('sublet_raft_has_leader', '1 while a leader is known.', () => (status().leader === undefined ? 0 : 1));
    this.#gauge('sublet_raft_term', 'Raft term.', () => status().term);
    this.#gauge('sublet_raft_commit_index', 'Last committed log index.', () => status().commitIndex);
    this.#gauge('sublet_raft_applied_index', 'Last applied log index.', () => status().appliedIndex);
    this.#gauge('sublet_raft_last_index', 'Last log index.', () => status().lastIndex);
    this.#gauge('sublet_raft_first_index', 'First log index that is kept.', () => status().firstIndex);
    this.#count('sublet_storage_writes_total', 'Synced storage writes.', () => status().writes);
    this.#count(
      'sublet_storage_entries_written_total',
      'Log entries in these writes: entries per fsync is this by the writes.',
      () => status().entriesWritten,
    );
    this.#count('sublet_snapshots_sent_total', 'Snapshots sent to other masters.', () => status().snapshotsSent);
    this.#count('sublet_snapshots_installed_total', 'Snapshots taken over.', () => status().snapshotsInstalled);
    this.#gauge('sublet_storage_space_problem', '1 while the disk is below its floor.', () =>
      status().space.problem === undefined ? 0 : 1,
    );
    this.#gauge(
      'sublet_storage_free_bytes',
      'Bytes free on the file system of the store, as last looked at; NaN when the system does not say.',
      () => status().space.freeBytes ?? Number.NaN,
    );
  }

  #planGauges({ plan, outlook }: MasterServices): void {
    this.#gauge('sublet_agents', 'Agents that hold a lease.', () => plan.ipam.agentCount);
    this.#gauge('sublet_revision', 'Log index of the last change of the plan.', () => plan.ipam.revision);
    const blocks = new Gauge({
      name: 'sublet_blocks',
      help: 'Blocks of each overlay and of the VTEP subnet (overlay "") by state.',
      labelNames: ['overlay', 'family', 'state'],
      registers: [this.#registry],
      collect: () => {
        blocks.reset();
        const usage = plan.ipam.usage(plan.time);
        if (usage === undefined) return;
        const set = (overlay: string, family: string, pool: PoolUsage | undefined): void => {
          if (pool === undefined) return;
          for (const state of ['held', 'reserved', 'excluded', 'quarantined', 'free'] as const) {
            blocks.set({ overlay, family, state }, Number(pool[state]));
          }
        };
        set('', 'ipv4', usage.vtep);
        for (const { overlay, v4, v6 } of usage.overlays) {
          set(overlay.name, 'ipv4', v4);
          set(overlay.name, 'ipv6', v6);
        }
      },
    });
    const full = new Gauge({
      name: 'sublet_overlay_full_seconds',
      help: 'Until no block of an overlay, or of the VTEP subnet (overlay ""), is free, if agents arrive and depart as in the history; only where that says something.',
      labelNames: ['overlay', 'family'],
      registers: [this.#registry],
      collect: () => {
        full.reset();
        for (const { overlay = '', family, fullInMs } of outlook.current.full) {
          full.set({ overlay, family: `ipv${family}` }, Math.round(fullInMs / 1_000));
        }
      },
    });
  }

  #clusterGauges({ services, status }: MetricsOptions): void {
    this.#count(
      'sublet_raft_leader_changes_total',
      'Leaders that this master learned of, the first one after its start included.',
      () => services.leaderChanges.count,
    );
    const voters = new Gauge({
      name: 'sublet_raft_voters',
      help: 'Masters that vote, by whether the leader hears them; from the leader only.',
      labelNames: ['state'],
      registers: [this.#registry],
      collect: () => {
        voters.reset();
        const { up, down } = services.voters(status());
        if (up + down === 0) return;
        voters.set({ state: 'up' }, up);
        voters.set({ state: 'down' }, down);
      },
    });
    const overlays = new Gauge({
      name: 'sublet_overlays_on_hosts',
      help: 'Overlays on the hosts of agents by what the agents reported last: one for each agent and overlay.',
      labelNames: ['status'],
      registers: [this.#registry],
      collect: () => {
        for (const [name, value] of Object.entries(services.plan.ipam.hostOverlays().byStatus)) {
          overlays.set({ status: name }, value);
        }
      },
    });
  }

  #serviceGauges({ plan, office, hub, ring, admission, comparison, guard }: MasterServices): void {
    this.#gauge('sublet_adoption', '1 during an adoption: nothing fresh is granted.', () =>
      plan.ipam.adoption ? 1 : 0,
    );
    this.#count(
      'sublet_history_proofs_total',
      'Proofs, found by this master as leader, that the plan is older than what agents or watchers have seen.',
      () => guard.proofs,
    );
    this.#gauge('sublet_state_differs', '1 while the masters differ in the plan, as last compared.', () =>
      comparison.difference === '' ? 0 : 1,
    );
    this.#count(
      'sublet_state_comparisons_total',
      'Comparisons of the masters made by this one as leader.',
      () => comparison.compared,
    );
    const presence = new Gauge({
      name: 'sublet_agents_presence',
      help: 'Agents by presence; from the leader only.',
      labelNames: ['state'],
      registers: [this.#registry],
      collect: () => {
        presence.reset();
        if (!office.presence.begun) return;
        const counts = office.presence.counts((lease) => plan.ipam.awaits(lease));
        presence.set({ state: 'live' }, counts.live);
        presence.set({ state: 'silent' }, counts.silent);
        presence.set({ state: 'awaited' }, counts.awaited);
      },
    });
    this.#gauge(
      'sublet_contested_leases',
      'Leases that two processes asked for in the last minute; from the leader only.',
      () => office.processes.contestCount,
    );
    this.#count('sublet_keepalives_total', 'Keep-alives counted by this master as leader.', () => office.counted);
    this.#count('sublet_leases_expired_total', 'Leases ended by this master as leader.', () => office.expired);
    this.#gauge('sublet_watchers', 'Watches open at this master.', () => hub.size);
    this.#count('sublet_watch_messages_total', 'Messages sent to watchers.', () => hub.messagesSent);
    this.#count('sublet_watch_snapshots_total', 'Snapshots begun for watchers.', () => hub.snapshotsServed);
    this.#gauge('sublet_watch_ring_revisions', 'Revisions kept for watchers.', () => ring.count);
    this.#gauge('sublet_watch_ring_bytes', 'Bytes of what is kept for watchers.', () => ring.bytes);
    this.#gauge('sublet_calls_under_way', 'Unary calls under way.', () => admission.total.calls);
    this.#gauge('sublet_streams_open', 'Streams open.', () => admission.total.streams);
    this.#count('sublet_admission_refused_total', 'Calls and streams refused for load.', () => admission.refused);
  }

  #doorGauges(doors: NonNullable<MetricsOptions['doors']>): void {
    const registers = [this.#registry];
    const labelNames = ['listener'] as const;
    const open = new Gauge({
      name: 'sublet_connections',
      help: 'Connections open, by listener: api, peer, http.',
      labelNames,
      registers,
      collect: () => {
        for (const [listener, door] of doors()) open.set({ listener }, door.connections);
      },
    });
    const most = new Gauge({
      name: 'sublet_connections_max',
      help: 'Connections that a listener takes, from the limit of open files.',
      labelNames,
      registers,
      collect: () => {
        for (const [listener, door] of doors()) most.set({ listener }, door.connectionsMax);
      },
    });
    const refused = new Counter({
      name: 'sublet_connections_refused_total',
      help: 'Connections closed because as many as may be were open.',
      labelNames,
      registers,
      collect: () => {
        refused.reset();
        for (const [listener, door] of doors()) refused.inc({ listener }, door.refused);
      },
    });
  }

  #guardCounters(guards: NonNullable<MetricsOptions['guards']>): void {
    const registers = [this.#registry];
    const bytes = new Gauge({
      name: 'sublet_unfinished_message_bytes',
      help: 'Bytes kept of messages that are not whole, by listener.',
      labelNames: ['listener'] as const,
      registers,
      collect: () => {
        for (const [listener, guard] of guards) bytes.set({ listener }, guard.bytes);
      },
    });
    const refused = new Counter({
      name: 'sublet_intake_refused_total',
      help: 'Calls refused and connections ended before a handler knew of them, by listener and reason.',
      labelNames: ['listener', 'reason'] as const,
      registers,
      collect: () => {
        refused.reset();
        for (const [listener, guard] of guards) {
          for (const reason of guardRefusals) refused.inc({ listener, reason }, guard.refused(reason));
        }
      },
    });
  }

  #rateCounter(rates: MetricsOptions['rates']): void {
    const refused = new Counter({
      name: 'sublet_rate_refused_total',
      help: 'Calls refused by the rates of their callers, and connections ended for their refusals, by rate.',
      labelNames: ['rate'] as const,
      registers: [this.#registry],
      collect: () => {
        refused.reset();
        for (const rate of rateNames) refused.inc({ rate }, rates?.refused(rate) ?? 0);
      },
    });
  }

  #gauge(name: string, help: string, value: () => number): void {
    const collect = (): void => gauge.set(value());
    const gauge = new Gauge({ name, help, registers: [this.#registry], collect });
  }

  /** A counter whose value is kept elsewhere. */
  #count(name: string, help: string, value: () => number): void {
    const collect = (): void => {
      counter.reset();
      counter.inc(value());
    };
    const counter = new Counter({ name, help, registers: [this.#registry], collect });
  }
}
