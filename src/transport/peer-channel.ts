/** gRPC connections between peers: each client has a TCP connection of its own, watched by pings. */
import { type ChannelCredentials, type ChannelOptions, Client } from '@grpc/grpc-js';
import { serverName } from '#tls/client-credentials.js';

export type PeerChannelOptions = {
  readonly credentials: ChannelCredentials;
  /**
   * A silent connection is asked for a sign of life after so many ms, and given up when there is none for three times as long:
   * the process behind it may be busy for a while.
   */
  readonly pingMs: number;
};

/** Above the largest append message, and one command over. */
export const messageBytesMax = 32 * 1024 * 1024;

export function connectionOptions(pingMs: number): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': pingMs,
    'grpc.keepalive_timeout_ms': 3 * pingMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_receive_message_length': messageBytesMax,
  };
}

/** A client to HOST:PORT. It connects with the first call. */
export function peerClient(peer: string, { credentials, pingMs }: PeerChannelOptions): Client {
  return new Client(peer, credentials, {
    ...connectionOptions(pingMs),
    // A pool would have snapshots share the connection of heartbeats, and new attempts the back-off of old ones.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    ...serverName,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
  });
}
