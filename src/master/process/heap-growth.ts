/** How much garbage a master process gathers before it collects. */
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

type Step = { readonly aboveBytes: number; readonly growthPercent: number };

const mebi = 1024 * 1024;
/**
 * From which size of the heap on it is collected whenever it has grown by how much of what lives. A smaller one is left to
 * V8: collecting it earlier costs more time than the memory is worth. Ascending.
 */
const steps: readonly Step[] = [
  { aboveBytes: 64 * mebi, growthPercent: 80 },
  { aboveBytes: 160 * mebi, growthPercent: 40 },
];
/**
 * Of both halves of the young generation. V8 lets it grow to 128 MiB on a large machine. With half of that a storm of
 * registrations takes as much processor time and a tenth less memory; with a quarter it is slower by a twentieth.
 */
const youngBytesMax = 64 * mebi;
/** Between two sizes V8 collects the young generation several times, which takes longer. */
const lookEveryMs = 25;

/**
 * Has the heap collected earlier as it grows, where V8 by itself waits until it has grown two- to fourfold, and bounds the
 * young generation. A master's live heap is large and changes little, so this halves its resident memory (65,000 agents under a
 * storm of registrations: 310 MB, not 600) for little processor time. It is a setting of the whole process: for its main program
 * only. Returns how to stop looking.
 */
export function boundHeapGrowth(): () => void {
  let taken = 0;
  let growing = true;
  const look = setInterval(() => {
    const used = getHeapStatistics().used_heap_size;
    while (used > (steps[taken]?.aboveBytes ?? Number.POSITIVE_INFINITY)) {
      setFlagsFromString(`--heap-growing-percent=${steps[taken]?.growthPercent}`);
      taken += 1;
    }
    const mayGrow = youngBytes() < youngBytesMax;
    if (mayGrow === growing) return;
    growing = mayGrow;
    // The largest size itself is read by V8 only when the process starts.
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
  }, lookEveryMs).unref();
  return () => clearInterval(look);
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
}
