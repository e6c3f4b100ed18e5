/** The agent's numbers for Prometheus. They are read when they are asked for; nothing is counted twice. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Agent } from '#agent/agent.js';
import { notReady } from '#agent/report/agent-status.js';
import type { AddressUsage } from '#host/usage/address-usage.js';
import { certificateMetrics } from '#tls/certificate/certificate-metrics.js';
import type { CertificateReport } from '#tls/certificate/certificate-reloader.js';

/** A registry of its own for each agent, with Node's numbers in it. */
export function agentMetrics(agent: Agent, certificate?: CertificateReport): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  leaseMetrics(registry, agent);
  masterMetrics(registry, agent);
  hostMetrics(registry, agent);
  if (certificate !== undefined) certificateMetrics(registry, certificate);
  return registry;
}

function leaseMetrics(registry: Registry, agent: Agent): void {
  gauge(registry, 'sublet_agent_ready', '1: the host can carry containers', () => flag(notReady(agent).length === 0));
  gauge(registry, 'sublet_agent_registered', '1: the masters have confirmed the lease since the start', () =>
    flag(agent.leaseSource === 'masters'),
  );
  gauge(registry, 'sublet_agent_refused', '1: the masters refuse to register this agent', () =>
    flag(agent.registration.state.kind === 'refused'),
  );
  gauge(
    registry,
    'sublet_agent_held_elsewhere',
    '1: another process keeps the lease alive, and the masters refuse this one',
    () => flag(agent.heldElsewhere !== ''),
  );
  gauge(registry, 'sublet_agent_node_ip_differs', '1: the masters have another node_ip for the lease', () =>
    flag(agent.otherNodeIp !== ''),
  );
  gauge(registry, 'sublet_agent_lease_valid', '1: there is a lease and it has not ended', () =>
    flag(agent.lease !== undefined && agent.term.valid),
  );
  gauge(registry, 'sublet_agent_lease_left_seconds', 'Until the lease ends; +Inf: it does not', () =>
    agent.term.leftMs === undefined ? Number.POSITIVE_INFINITY : agent.term.leftMs / 1000,
  );
  gauge(
    registry,
    'sublet_agent_lease_epoch',
    'Log index that granted the lease; 0: none',
    () => agent.lease?.epoch ?? 0,
  );
  new Gauge({
    name: 'sublet_agent_overlays_lacking',
    help: '1 for each overlay of which this agent has no subnet, or not both families',
    labelNames: ['overlay'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { overlay } of agent.lease?.problems ?? []) this.set({ overlay }, 1);
    },
  });
}

function masterMetrics(registry: Registry, { keepAlive, watch, table }: Agent): void {
  counter(registry, 'sublet_agent_keep_alives_total', 'Keep-alives answered', () => keepAlive.counts.answered);
  counter(
    registry,
    'sublet_agent_keep_alive_failures_total',
    'Keep-alive streams that broke',
    () => keepAlive.counts.failures,
  );
  counter(registry, 'sublet_agent_watch_failures_total', 'Watches that broke off', () => watch.counts.failures);
  counter(
    registry,
    'sublet_agent_watch_snapshots_total',
    'Snapshots of the plan received',
    () => watch.counts.snapshots,
  );
  gauge(registry, 'sublet_agent_watch_connected', '1: the watch delivers', () => flag(watch.counts.connected));
  gauge(registry, 'sublet_agent_revision', 'Revision of the plan that the peers are known at', () => table.revision);
  gauge(registry, 'sublet_agent_peers', 'Other agents that are routed to', () => table.size);
}

function hostMetrics(registry: Registry, { options: { host } }: Agent): void {
  counter(registry, 'sublet_host_passes_total', 'Passes that looked at the host', () => host.metrics().passes);
  gauge(
    registry,
    'sublet_host_last_pass_seconds',
    'How long the last full look took',
    () => host.metrics().lastPassMs / 1000,
  );
  gauge(
    registry,
    'sublet_host_entries',
    'Neighbours, FDB entries and routes that the host should have',
    () => host.metrics().entries,
  );
  byKind(registry, 'sublet_host_steps_total', 'Steps that ran', () => host.metrics().stepsRun);
  byKind(registry, 'sublet_host_steps_failed_total', 'Steps that failed', () => host.metrics().stepsFailed);
  byKind(
    registry,
    'sublet_host_drift_repaired_total',
    'Steps that put back what others changed',
    () => host.metrics().driftRepaired,
  );
  counter(registry, 'sublet_host_hook_runs_total', 'Runs of the command of on_change', () => host.metrics().hookRuns);
  counter(
    registry,
    'sublet_host_hook_failures_total',
    'Runs of the command of on_change that failed',
    () => host.metrics().hookFailures,
  );
  const usage = (name: string, help: string, read: (one: AddressUsage) => number | undefined): void => {
    new Gauge({
      name,
      help,
      labelNames: ['overlay', 'bridge', 'family'],
      registers: [registry],
      collect() {
        this.reset();
        for (const one of host.usage()) {
          const value = read(one);
          if (value !== undefined) this.set({ overlay: one.overlay, bridge: one.bridge, family: one.family }, value);
        }
      },
    });
  };
  usage('sublet_agent_addresses_used', 'Addresses that containers have', ({ used }) => used);
  usage('sublet_agent_addresses_size', 'Addresses that there are for containers; IPv4 alone', ({ size }) => size);
  new Gauge({
    name: 'sublet_host_overlay_status',
    help: '1 for the state that the overlay is in',
    labelNames: ['overlay', 'status'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { name, kind } of host.status().overlays) this.set({ overlay: name, status: kind }, 1);
    },
  });
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

function counter(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

function byKind(registry: Registry, name: string, help: string, read: () => Readonly<Record<string, number>>): void {
  new Counter({
    name,
    help,
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [kind, value] of Object.entries(read())) this.inc({ kind }, value);
    },
  });
}

function flag(value: boolean): number {
  return value ? 1 : 0;
}
