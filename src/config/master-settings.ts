/** The settings of a master, as its flags, its help and the reference have them. */

import { networkSettings } from '#config/network-settings.js';
import { insecureSetting, logSettings, tlsSettings } from '#config/process-settings.js';
import type { Setting } from '#config/setting.js';

export const masterSettings: readonly Setting[] = [
  {
    key: 'name',
    flag: '--name',
    takes: 'NAME',
    as: 'text',
    about: 'this member’s name in the cluster',
    default: 'the member that listens on peer_listen; master-1 for a cluster of one',
  },
  {
    key: 'data_dir',
    alias: 'replicated_log_dir',
    flag: '--data-dir',
    takes: 'DIR',
    as: 'text',
    about: 'where the data and this member’s identity are kept; sublet/ is made inside',
    default: './sublet-data',
  },
  {
    key: 'listen',
    flag: '--listen',
    takes: 'HOST:PORT',
    as: 'text',
    about: 'the API (gRPC), for agents and operators',
    default: '127.0.0.1:7070',
  },
  {
    key: 'peer_listen',
    flag: '--peer-listen',
    takes: 'HOST:PORT',
    as: 'text',
    about: 'the other masters (gRPC)',
    default: 'this member’s peer address; 127.0.0.1:7071 for a cluster of one',
  },
  {
    key: 'http_listen',
    flag: '--http-listen',
    takes: 'HOST:PORT',
    as: 'text',
    about: 'metrics, health, and the endpoints of DC/OS (HTTP)',
    default: '127.0.0.1:7072',
  },
  {
    key: 'http_hosts',
    flag: '--http-host',
    takes: 'NAME',
    as: 'text',
    repeated: true,
    about:
      'names under which HTTP may be asked, besides localhost, the host name and all addresses; /healthz and /readyz are answered under any',
    default: 'none',
  },
  {
    key: 'cluster.id',
    flag: '--cluster-id',
    takes: 'ID',
    as: 'text',
    about: 'name of the cluster; masters of another one are refused',
    default: 'sublet',
  },
  {
    key: 'cluster.members',
    flag: '--member',
    takes: 'NAME=HOST:PORT',
    as: 'member',
    repeated: true,
    about:
      'a first member and where its peers reach it, this one included; the same on all of them. In a file a list of {name, peer}',
    default: 'this one alone',
  },
  {
    key: 'cluster.join',
    flag: '--join',
    takes: 'HOST:PORT,…',
    as: 'text',
    about:
      'peer addresses of masters of a cluster to join, instead of cluster.members: the first start waits until `sublet members add` has added this one',
  },
  ...networkSettings,
  {
    key: 'lease.reclaim',
    flag: '--reclaim',
    takes: 'TIME',
    as: 'text',
    about: 'never, or how long an agent may be silent before what it holds is taken back, like 24h',
    default: 'never',
  },
  {
    key: 'lease.quarantine',
    flag: '--quarantine',
    takes: 'TIME',
    as: 'text',
    about: 'how long a block rests before it is let again; with reclaim at least 15m and a fourth of it',
    default: '15m, or a fourth of lease.reclaim if that is longer',
  },
  {
    key: 'raft.heartbeat_ms',
    flag: '--heartbeat-ms',
    takes: 'MS',
    as: 'number',
    about: 'how often the leader is heard',
    default: '100',
  },
  {
    key: 'raft.election_ms',
    flag: '--election-ms',
    takes: 'MS',
    as: 'number',
    about: 'how long a silent leader is waited for; at least five heartbeats',
    default: '1000',
  },
  {
    key: 'raft.retain_entries',
    flag: '--retain-entries',
    takes: 'N',
    as: 'number',
    about: 'log entries kept for followers that lag; one that is further behind gets a snapshot',
    default: '10000',
  },
  ...tlsSettings,
  insecureSetting,
  ...logSettings,
];
