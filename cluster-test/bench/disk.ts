/** How long this file system takes to make a small append durable, and which one it is. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Percentiles, percentiles } from '#cluster-test/bench/storms/load.js';

const rounds = 200;
const appendBytes = 512;

/** Latency of a 512-byte append with fdatasync, in ms. */
export function measureFdatasync(folder: string): Percentiles {
  const file = join(folder, 'fdatasync-probe');
  const descriptor = openSync(file, 'w');
  try {
    const latencies = Array.from({ length: rounds }, () => {
      const begin = performance.now();
      writeSync(descriptor, Buffer.alloc(appendBytes, 1));
      fdatasyncSync(descriptor);
      return performance.now() - begin;
    });
    return percentiles(latencies);
  } finally {
    closeSync(descriptor);
    rmSync(file);
  }
}

/** Type of the file system that holds `folder`, as mounted: "ext4", "overlay", "tmpfs". */
export function fileSystemOf(folder: string): string {
  const path = resolve(folder);
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, point = '', type = '']) => ({ point, type }))
    .filter(({ point }) => point === '/' || path === point || path.startsWith(`${point}/`))
    .sort((a, b) => b.point.length - a.point.length);
  return mounts[0]?.type ?? 'unknown';
}
