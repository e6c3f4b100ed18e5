/**
 * Which releases of Node.js Sublet may serve on. A release with a known hole ends a process that other machines reach, by a few
 * bytes, whatever the program above it does.
 */

/** The oldest release that Sublet is tested on; `engines` in package.json and the package `node` say the same. */
export const oldestTested = '24.21.0';

export type Versions = { readonly node: string; readonly nghttp2: string };

export type BadRelease = {
  readonly id: string;
  /** What is wrong with it, as the end of "Node.js 20.20.2 …". */
  readonly hole: string;
  readonly matches: (versions: Versions) => boolean;
};

const assertion = 'a few malformed HTTP/2 frames end the process, with TLS or without (nodejs/node#64850)';

/** The first that matches is reported. */
export const badReleases: readonly BadRelease[] = [
  {
    id: 'nghttp2 before 1.68.1',
    hole: 'has an nghttp2 before 1.68.1: 140 bytes to an open port end the process (CVE-2026-27135)',
    matches: ({ nghttp2 }) => isBefore(nghttp2, '1.68.1'),
  },
  {
    id: '22.x up to 22.23.3',
    hole: `is a 22.x up to 22.23.3: ${assertion}`,
    matches: ({ node }) => !isBefore(node, '22.0.0') && isBefore(node, '22.23.4'),
  },
  {
    id: '26.8.x',
    hole: `is a 26.8.x: ${assertion}`,
    matches: ({ node }) => !isBefore(node, '26.8.0') && isBefore(node, '26.9.0'),
  },
  {
    id: `before ${oldestTested}`,
    hole: `is older than ${oldestTested}, the oldest release that Sublet is tested on`,
    matches: ({ node }) => isBefore(node, oldestTested),
  },
];

/** Why Sublet must not serve other machines on this release, in one sentence; undefined: it may. */
export function badNode(versions: Versions = runningVersions()): string | undefined {
  const bad = badReleases.find(({ matches }) => matches(versions));
  if (bad === undefined) return undefined;
  return `Node.js ${versions.node} ${bad.hole}; take ${oldestTested} or a later 24.x`;
}

/** The versions of the release that runs this process. */
export function runningVersions(): Versions {
  // A Node.js built without an HTTP/2 library can't serve at all: as old as can be.
  return { node: process.versions.node, nghttp2: process.versions.nghttp2 ?? '0.0.0' };
}

/** Compares MAJOR.MINOR.PATCH; what a distribution or a pre-release adds behind it does not count. */
function isBefore(version: string, limit: string): boolean {
  const [a, b] = [numbers(version), numbers(limit)];
  const at = a.findIndex((number, index) => number !== b[index]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

function numbers(version: string): readonly number[] {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0), Number(patch ?? 0)];
}
