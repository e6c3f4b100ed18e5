/** How much of a master's code V8 optimizes at a time. */
import { setFlagsFromString } from 'node:v8';

/** How much of what a function calls is compiled into it, in bytes of bytecode: half of what V8 takes by itself. */
const inlinedBytesMax = 460;

/**
 * Has V8 optimize less at a time. When ten thousand hosts boot at once the masters have mostly just started, too, and optimizing is a
 * large part of their processor time in such a storm (docs/benchmarks.md). It is a setting of the whole process, for its main program only.
 */
export function compileEarly(): void {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${inlinedBytesMax}`);
}
