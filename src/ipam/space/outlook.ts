/**
 * When address spaces are full if agents go on to arrive and depart as they did: `forecastCapacity` at the rates of the history,
 * where these say something of the days to come.
 */

import { flowSpanMinMs, type HistoryFlow } from '#ipam/space/agent-flow.js';
import { type AgentFlow, type BlockCounts, forecastCapacity, saturated } from '#ipam/space/capacity.js';
import type { PlanUsage, PoolUsage } from '#ipam/space/usage.js';

const dayMs = 86_400_000;
/** Fewer may be chance. */
const arrivalsMin = 10;
/** Of all arrivals, those in the second half of the time: with fewer, many hosts were set up at once, and no more came. */
const lateShareMin = 1 / 3;
/** A forecast reaches no further than so many times the history that it is from, and than a year. */
const reach = 3;
const daysMax = 365;
/** Arrivals and departures of all spaces that are simulated: some ms. More of them end the forecast earlier. */
const stepsMax = 100_000;

/** An address space that will be full. */
export type FullForecast = {
  /** Undefined: the VTEP subnet. */
  readonly overlay: string | undefined;
  readonly family: 4 | 6;
  /** Until no block is free, ms. */
  readonly fullInMs: number;
};

/** Agents a day. */
export function ratesOf({ arrivals, departures, spanMs }: HistoryFlow): AgentFlow {
  return { arrivals: (arrivals * dayMs) / spanMs, departures: (departures * dayMs) / spanMs };
}

/** Whether the rates can be taken for those of the days to come. */
export function isSteady({ arrivals, lateArrivals, spanMs }: HistoryFlow): boolean {
  return spanMs >= flowSpanMinMs && arrivals >= arrivalsMin && lateArrivals >= arrivals * lateShareMin;
}

/** Those that will be full, the soonest first; a space that is full already is not among them. */
export function outlook(usage: PlanUsage, quarantineMs: number, flow: HistoryFlow): readonly FullForecast[] {
  if (!isSteady(flow)) return [];
  const overlays = usage.overlays.flatMap(({ overlay, v4, v6 }) => {
    const families = [...familyOf(4, v4), ...familyOf(6, v6)];
    return overlay.enabled ? [{ overlay: overlay.name, families }] : [];
  });
  const spaces = overlays.reduce((sum, { families }) => sum + families.length, 1);
  const rates = ratesOf(flow);
  const days = Math.min(
    daysMax,
    (reach * flow.spanMs) / dayMs,
    stepsMax / spaces / (rates.arrivals + rates.departures),
  );
  const vtep = blockCounts(usage.vtep);
  const start = {
    quarantineMs,
    agents: vtep.held,
    vtep,
    overlays: overlays.map(({ families }) => families.map(({ counts }) => counts)),
  };
  const forecast = forecastCapacity(start, 0, rates, days);
  const found = [
    { overlay: undefined, family: 4 as const, fullInMs: forecast.vtep?.fullAt },
    ...overlays.flatMap(({ overlay, families }, at) =>
      families.map(({ family }, own) => {
        return { overlay, family, fullInMs: forecast.overlays[at]?.families[own]?.fullAt };
      }),
    ),
  ];
  return found
    .flatMap(({ fullInMs, ...space }) => (fullInMs ? [{ ...space, fullInMs }] : []))
    .sort((a, b) => a.fullInMs - b.fullInMs);
}

type Family = { readonly family: 4 | 6; readonly counts: BlockCounts };

function familyOf(family: 4 | 6, pool: PoolUsage | undefined): readonly Family[] {
  return pool === undefined ? [] : [{ family, counts: blockCounts(pool) }];
}

function blockCounts({ held, reserved, excluded, quarantined, free, total }: PoolUsage): BlockCounts {
  return {
    held: saturated(held),
    reserved: saturated(reserved),
    excluded: saturated(excluded),
    quarantined: saturated(quarantined),
    free: saturated(free),
    total: saturated(total),
  };
}
