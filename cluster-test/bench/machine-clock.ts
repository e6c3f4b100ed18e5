/** CLOCK_MONOTONIC, in ms: the machine's, so times of several processes can be compared. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
