/** Time as `replica/` and `agent/` know it: monotonic, in ms, and given as an argument, so that a test or a simulator can own it. */
export type Clock = {
  /** Monotonic ms since an arbitrary start; goes on while the process is stopped, never jumps. */
  now(): number;
  /** Calls `run` once, `delayMs` or more from now. The returned function cancels; calling it late does nothing. */
  after(delayMs: number, run: () => void): () => void;
};

/** Runs `run` after what has already arrived was handed over: once per turn of the event loop (`setImmediate`). */
export type Defer = (run: () => void) => void;
