/** How much garbage a master process lets pile up before it collects. */
import { setFlagsFromString } from 'node:v8';

/** Of what lives, in percent. */
const growthPercent = 40;

/**
 * Has the heap collected when it has grown by 40 %, where V8 by itself waits until it has grown two- to fourfold. A
 * master's live heap is large and changes little, so this halves its resident memory (65,000 agents under a storm of
 * registrations: 310 MB, not 600) for no measurable time. It is a setting of the whole process: for its main program only.
 */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
