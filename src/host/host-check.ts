/** What `checkHost` needs to know and to use. */

import type { HostSettings } from '#host/input.js';
import type { DockerEngine } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';

export type HostCheck = {
  readonly settings: HostSettings;
  /** Where it is known: the address that must be on an interface. */
  readonly nodeIp?: string;
  readonly vtepName: string;
  /** UDP port of the VXLAN. */
  readonly port: number;
  /** Whether containers are to be attached here, by CNI and by Docker. */
  readonly containers: { readonly cni: boolean; readonly docker: boolean };
  readonly run?: Runner;
  readonly docker?: DockerEngine;
};
