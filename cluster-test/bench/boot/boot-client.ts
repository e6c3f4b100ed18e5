/**
 * What a boot asks of a service, for each agent on a connection of its own: a lease, all others and every change of them, and a
 * keep-alive. Answers stay bytes; only what says how far a watch is gets read, so that the clients cost as little as they can.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { Reader } from 'protobufjs/minimal.js';
import { agentService } from '#api/services.js';
import { channelOptions, registration } from '#cluster-test/bench/plan.js';
import { same, unary } from '#cluster-test/bench/unary.js';
import { sublet } from '#proto/sublet.js';

/** How far an agent's picture of all others is: a revision, or with etcd the number of keys. */
export type Progress = { readonly position: number; readonly bytes: number };

export type BootAgent = {
  /** Takes the lease. Resolves with the revision that has it; with etcd 0. */
  lease(): Promise<number>;
  /** Begins the watch and the keep-alive. Resolves when everything that was there at the begin has come. */
  follow(advanced: (progress: Progress) => void): Promise<void>;
};

export class SubletAgent implements BootAgent {
  readonly #client: Client;
  readonly #number: number;
  #epoch = 0;

  constructor(address: string, number: number) {
    this.#client = new Client(address, credentials.createInsecure(), channelOptions);
    this.#number = number;
  }

  async lease(): Promise<number> {
    const { path, encodeRequest } = agentService.register;
    const answer = await unary(this.#client, path, encodeRequest(registration(this.#number)));
    const { lease, revision } = sublet.v1.RegisterResponse.decode(answer);
    this.#epoch = lease?.epoch ?? 0;
    return revision;
  }

  follow(advanced: (progress: Progress) => void): Promise<void> {
    const { watch, keepAlive } = agentService;
    const request = { peersOnly: true, peerForm: sublet.v1.PeerForm.PEER_FORM_SHORT };
    return new Promise((resolve, reject) => {
      const stream = this.#client.makeServerStreamRequest(watch.path, watch.encodeRequest, same, request);
      stream.on('error', reject);
      stream.on('data', (bytes: Buffer) => {
        const { position, whole } = positionOf(bytes);
        advanced({ position, bytes: bytes.length });
        if (whole) resolve();
      });
      const alive = this.#client.makeBidiStreamRequest(
        keepAlive.path,
        keepAlive.encodeRequest,
        keepAlive.decodeResponse,
      );
      const { agentId, instanceId } = registration(this.#number);
      const message = { agentId: agentId ?? '', instanceId: instanceId ?? '', epoch: this.#epoch };
      alive.on('error', reject);
      alive.on('data', ({ nextInMs }: { readonly nextInMs: number }) => {
        setTimeout(() => alive.write(message), nextInMs);
      });
      alive.write(message);
    });
  }
}

/** The revision of a WatchResponse; 0: it has none. `whole`: a snapshot ends. */
export function positionOf(bytes: Uint8Array): { readonly position: number; readonly whole: boolean } {
  const reader = Reader.create(bytes);
  const field = reader.uint32() >>> 3;
  const end = reader.uint32() + reader.pos;
  // SnapshotEnd, Changes, Progress, DeflatedChanges: the number of the field that has the revision.
  const revisionField = { 3: 1, 4: 2, 5: 1, 7: 2 }[field];
  if (revisionField === undefined) return { position: 0, whole: false };
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === revisionField) return { position: Number(reader.uint64()), whole: field === 3 };
    reader.skipType(tag & 7);
  }
  return { position: 0, whole: field === 3 };
}
