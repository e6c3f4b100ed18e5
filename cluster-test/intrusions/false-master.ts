/** A program with a master's certificate that sends the peer port of real masters what it likes. */
import { Client, Metadata, status } from '@grpc/grpc-js';
import { freePorts } from '#cluster-test/process/ports.js';
import { clusterIdKey, forwardDefinition, incarnationKey } from '#master/forward/forward-method.js';
import type { sublet } from '#proto/sublet.js';
import { memberId } from '#raft/log/entry.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import type { TlsMaterial } from '#tls/certificate/tls-files.js';
import { masterCredentials, serverName } from '#tls/client-credentials.js';
import { decodeHello } from '#transport/membership-codec.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { type DeliverRequest, peerService } from '#transport/peer-service.js';

const answerMs = 5_000;

export type Delivery = {
  readonly send: (request: DeliverRequest) => void;
  /** Resolves once the envelope is accepted. @throws Error when it is refused */
  readonly accepted: Promise<void>;
  /** `STATUS: text` of the end. */
  readonly ended: Promise<string>;
};

export class FalseMaster implements Disposable {
  readonly name: string;
  readonly #client: Client;

  /** @param peer HOST:PORT of the peer port of the master that it calls */
  constructor(peer: string, material: TlsMaterial) {
    this.name = material.principal.id;
    this.#client = new Client(peer, masterCredentials(material), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      ...serverName,
    });
  }

  hello(): Promise<MemberHello> {
    const { path, requestSerialize, responseDeserialize } = peerService.hello;
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + answerMs };
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, options, (error, answer) =>
        answer === undefined ? reject(error) : resolve(decodeHello(answer)),
      );
    });
  }

  /** Opens the stream of consensus as `self` of this membership; `more` comes with the envelope. */
  deliver(
    self: MemberInfo,
    membership: Membership,
    to: MemberInfo,
    more: Omit<DeliverRequest, 'envelope'> = {},
  ): Delivery {
    const delivery = this.silent();
    delivery.send({ envelope: envelopeOf(self, membership, to), messages: [], ...more });
    return delivery;
  }

  /** Opens the stream of consensus, and sends nothing on it. */
  silent(): Delivery {
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    let finish: (text: string) => void = () => undefined;
    const ended = new Promise<string>((resolve) => (finish = resolve));
    const call = this.#client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
      finish(error === null ? 'OK' : `${status[error.code]}: ${error.details}`),
    );
    const accepted = new Promise<void>((resolve, reject) => {
      call.once('metadata', () => resolve());
      ended.then((text) => reject(new Error(text)));
    });
    // A caller may look at `ended` alone.
    accepted.catch(() => undefined);
    return { send: (request) => call.write(request), accepted, ended };
  }

  /** Hands one call on as if `caller` had made it at this master. */
  forward(
    membership: Membership,
    call: sublet.peer.v1.ForwardedCall.$Properties,
  ): Promise<sublet.peer.v1.ForwardedAnswer.$Properties> {
    const { path, requestSerialize, responseDeserialize } = forwardDefinition;
    const metadata = new Metadata();
    metadata.set(clusterIdKey, membership.clusterId);
    metadata.set(incarnationKey, membership.incarnation);
    const options = { deadline: Date.now() + answerMs };
    const stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options);
    return new Promise((resolve, reject) => {
      stream.on('error', reject);
      stream.on('data', ({ answers }: sublet.peer.v1.ForwardResponse) => {
        resolve(answers[0] ?? {});
        stream.cancel();
      });
      stream.write({ calls: [{ id: 1, timeoutMs: answerMs, ...call }] });
    });
  }

  /** What it calls itself when it claims to have joined since the other master last heard. */
  async newcomer({ nextMemberId }: Membership): Promise<MemberInfo> {
    const [port] = await freePorts(1);
    const id = memberId(Number(nextMemberId));
    return { id, name: this.name, peer: `127.0.0.1:${port}`, storeId: 'f'.repeat(32) };
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** The member of this name. @throws Error where there is none */
export function memberNamed({ members }: Membership, name: string): MemberInfo {
  const found = members.find((member) => member.name === name);
  if (found === undefined) throw new Error(`the membership has no ${name}`);
  return found;
}
