/**
 * The signals that stop this process. One that goes to a whole group (a terminal, a supervisor) reaches a process that was
 * started by `handOver` twice: by itself, and passed on by its parent.
 */

/** A signal that comes again within this time is the same one passed on, in ms. */
const echoMs = 500;
let passedOnToo = false;

/** From here on the parent of this process passes on what it gets. */
export function expectEchoes(): void {
  passedOnToo = true;
}

export function onSignals(
  names: readonly NodeJS.Signals[],
  stop: (name: NodeJS.Signals) => void,
  now: () => number = () => performance.now(),
): void {
  const cameAt = new Map<NodeJS.Signals, number>();
  for (const name of names) {
    process.on(name, () => {
      const last = cameAt.get(name);
      cameAt.set(name, now());
      if (passedOnToo && last !== undefined && now() - last < echoMs) return;
      stop(name);
    });
  }
}
