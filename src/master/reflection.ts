/**
 * Server reflection (v1 and v1alpha) and `grpc.health.v1`, so that any gRPC command line works with no files at
 * hand. The descriptors come from the .proto files, which are part of the package.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';

/** The files of the public API; what masters say to each other is nobody else's business. */
const files = ['agent_service', 'operator_service', 'cluster_service'].map((name) => `sublet/v1/${name}.proto`);
/** What health is told of, besides the server as a whole (''). */
const healthServices = ['', 'sublet.v1.AgentService', 'sublet.v1.OperatorService', 'sublet.v1.ClusterService'];

/** Adds both to the server. */
export function addReflection(server: Server): Health {
  const proto = fileURLToPath(new URL('../../../proto', import.meta.url));
  const health = dirname(createRequire(import.meta.url).resolve('grpc-health-check/package.json'));
  const options = { keepCase: true, longs: String, enums: String, includeDirs: [proto, join(health, 'proto')] };
  new ReflectionService(loadSync([...files, 'health/v1/health.proto'], options)).addToServer(server);
  const implementation = new HealthImplementation();
  implementation.addToServer(server);
  return new Health(implementation);
}

/** What `grpc.health.v1` answers: all services are served, or none is. */
export class Health {
  readonly #implementation: HealthImplementation;

  constructor(implementation: HealthImplementation) {
    this.#implementation = implementation;
    this.serving(false);
  }

  serving(serves: boolean): void {
    for (const name of healthServices) this.#implementation.setStatus(name, serves ? 'SERVING' : 'NOT_SERVING');
  }
}
