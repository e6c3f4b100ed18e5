/** What one seed is about: how large its cluster is, how fast it ticks, what is small, and which faults are on. */
import { fairWeather, type Weather } from '#cluster-test/simulation/world/simulated-network.js';
import { defaultTiming, slowTiming, timings } from '#cluster-test/simulation/world/timings.js';
import type { World } from '#cluster-test/simulation/world/world.js';
import type { ReplicaLimits, ReplicaTiming } from '#replica/replica-options.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';

const firstKinds = [
  ...([
    'loss',
    'duplication',
    'reordering',
    'delay',
    'one-way-cut',
    'single-cut',
    'isolated-leader',
    'bridge',
  ] as const),
  ...(['crash', 'storage-crash', 'disk-error', 'disk-full', 'slow-disk', 'hung-disk', 'lost-tail'] as const),
  ...(['pause', 'stall', 'clock-rate', 'wall-clock', 'snapshots', 'membership', 'transfer', 'graceful'] as const),
  ...(['restart-all', 'wiped-disk', 'agent-crash', 'agent-sleep', 'agent-reinstall', 'agent-swap'] as const),
  ...(['agent-leave', 'client-cut', 'release', 'takeover'] as const),
] as const;
/** Kinds that came later draw from streams of their own, so that the seeds of the regressions keep what they draw. */
const laterKinds = [
  ...(['read-error', 'clock-leap', 'lost-cluster', 'returning-leader', 'unlucky-change', 'late-snapshot'] as const),
  ...(['put-back', 'agent-clone', 'agent-shuffle', 'all-put-back', 'most-put-back', 'restored-twice'] as const),
] as const;
/** Every kind of trouble there is; a seed has each with some chance, and an option of a run leaves some out. */
export const faultKinds = [...firstKinds, ...laterKinds] as const;
export type FaultKind = (typeof faultKinds)[number];

export type Profile = {
  readonly masters: number;
  readonly agents: number;
  /** Clients that only register and leave. */
  readonly storm: number;
  /** Mean time between two of their calls, in heartbeats. */
  readonly stormPace: number;
  readonly timing: ReplicaTiming;
  readonly limits: Partial<ReplicaLimits>;
  readonly reclaimMs: number | undefined;
  readonly quarantineMs: number;
  readonly weather: Weather;
  readonly faults: ReadonlySet<FaultKind>;
  /** The mean time between two faults of one kind, in election timeouts. */
  readonly calm: number;
  /** The chance that a process dies at one write, where that kind is on. */
  readonly storageCrash: number;
};

export type Shape = Partial<Omit<Profile, 'faults' | 'weather'>>;

/** `only`: these faults and no others; `without`: none of these. */
export type FaultChoice = {
  readonly only?: readonly FaultKind[] | undefined;
  readonly without?: readonly FaultKind[];
  /** In place of what the seed draws. */
  readonly shape?: Shape | undefined;
};

/** The shortest TTL that a network may have. */
const reclaimMinMs = 30_000;
/** Each kind is on in so many of 100 seeds. */
const onInPercent = 35;

export function profileOf(world: World, choice: FaultChoice): Profile {
  const random = world.random('profile');
  const chosen: FaultKind[] = firstKinds.filter(() => random.below(100) < onInPercent);
  chosen.push(...laterKinds.filter((kind) => world.random(`profile ${kind}`).below(100) < onInPercent));
  const calmSeed = random.below(20) === 0;
  const drawn = choice.only ?? (calmSeed ? [] : chosen);
  const faults = new Set(drawn.filter((kind) => choice.without?.includes(kind) !== true));
  const masters = [1, 3, 3, 3, 3, 3, 5, 5][random.below(8)] ?? 3;
  const drawnTiming = timings[random.below(timings.length)] ?? defaultTiming;
  const reclaims = random.below(3) === 0;
  const reclaimMs = reclaims ? reclaimMinMs + random.below(3 * reclaimMinMs) : undefined;
  // A lease runs out only while no other member comes to lead; at a fast pace few seeds last so long.
  const slowly = reclaims && world.random('profile of leases').below(2) === 0;
  const timing = choice.shape?.timing ?? (slowly ? slowTiming : drawnTiming);
  return {
    masters: choice.only === undefined ? masters : Math.max(3, masters),
    agents: 3 + random.below(5),
    storm: 4 + random.below(16),
    stormPace: [0.2, 0.5, 2][random.below(3)] ?? 0.5,
    timing,
    limits: { ...limitsOf(random, faults), ...(faults.has('late-snapshot') ? shortLog : {}) },
    reclaimMs,
    // Under a TTL 15 minutes are the least; else it may be short, so that blocks come round again.
    quarantineMs: reclaims ? 15 * 60_000 : ([10_000, 60_000, 15 * 60_000][random.below(3)] ?? 10_000),
    weather: weatherOf(random, faults, timing),
    faults,
    calm: 3 + random.below(12),
    storageCrash: 0.004,
    ...choice.shape,
  };
}

/** So short that a follower that misses a few entries needs a snapshot. */
const shortLog: Partial<ReplicaLimits> = {
  compaction: { entriesKept: 1, compactionStep: 1, entriesKeptForPeersMax: 2 },
  flushAfterMs: 100,
};

function limitsOf(random: SeededRandom, faults: ReadonlySet<FaultKind>): Partial<ReplicaLimits> {
  const small = random.below(2) === 0;
  return {
    compaction: faults.has('snapshots')
      ? {
          entriesKept: 1 + random.below(8),
          compactionStep: 1 + random.below(4),
          entriesKeptForPeersMax: 8 + random.below(20),
        }
      : { entriesKept: 200, compactionStep: 50, entriesKeptForPeersMax: 2000 },
    flushAfterMs: 50 + random.below(1000),
    ...(small ? { appendsInFlightMax: 2, appendBytesMax: 300, appendBytesInFlightMax: 1000 } : {}),
    ...(small ? { writes: { entriesPerWriteMax: 3, bytesPerWriteMax: 1000, queuedMax: 100 } } : {}),
  };
}

function weatherOf(random: SeededRandom, faults: ReadonlySet<FaultKind>, { electionMs }: ReplicaTiming): Weather {
  const delayed = faults.has('delay');
  return {
    ...fairWeather,
    jitterMs: 1 + random.below(20),
    loss: faults.has('loss') ? (1 + random.below(15)) / 100 : 0,
    duplication: faults.has('duplication') ? (1 + random.below(15)) / 100 : 0,
    reorders: faults.has('reordering'),
    spike: delayed ? (1 + random.below(8)) / 100 : 0,
    spikeMs: delayed ? 100 + random.below(4 * electionMs) : 0,
    lateOffers: faults.has('late-snapshot') ? 0.3 : 0,
  };
}
