/** When address spaces of the plan are full, by its history: for the status and the metrics of this master. */

import { historyMax } from '#ipam/limits.js';
import { agentFlow, flowWords, type HistoryFlow } from '#ipam/space/agent-flow.js';
import { type FullForecast, outlook } from '#ipam/space/outlook.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { Clock } from '#replica/ports/clock.js';

/** What `sublet plan` takes without options. */
const windowMs = 30 * 86_400_000;
/** Working it out takes milliseconds, and some hours do not change it. */
const keptMs = 60_000;
/** Both rings of the history. */
const entriesMax = 2 * historyMax;

export type CapacityOutlook = { readonly flow: HistoryFlow | undefined; readonly full: readonly FullForecast[] };

export type OutlookOptions = {
  readonly plan: PlanClient;
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
};

export class OutlookKeeper {
  readonly #options: OutlookOptions;
  #made: { readonly at: number; readonly outlook: CapacityOutlook } | undefined;

  constructor(options: OutlookOptions) {
    this.#options = options;
  }

  /** As of the last minute. */
  get current(): CapacityOutlook {
    const now = this.#options.clock.now();
    if (this.#made === undefined || now - this.#made.at >= keptMs) this.#made = { at: now, outlook: this.#look() };
    return this.#made.outlook;
  }

  #look(): CapacityOutlook {
    const { plan, wallClock } = this.#options;
    const { ipam } = plan;
    const usage = ipam.usage(plan.time);
    // In an adoption nothing fresh is granted, and hosts that come back are no arrivals.
    if (usage === undefined || ipam.network === undefined || ipam.adoption) return { flow: undefined, full: [] };
    const entries = ipam.history({ after: 0, limit: entriesMax, what: new Set(flowWords) });
    const flow = agentFlow(entries, windowMs, wallClock());
    return { flow, full: flow === undefined ? [] : outlook(usage, ipam.network.quarantineMs, flow) };
  }
}
