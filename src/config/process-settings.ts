/** The settings that masters and agents share. */
import { defaultLog } from '#config/files/log-config.js';
import type { Setting } from '#config/schema/setting.js';

export const insecureSetting: Setting = {
  key: 'insecure',
  flag: '--insecure',
  as: 'switch',
  about: 'listen beyond loopback without TLS: every caller that reaches the ports may read and change everything',
  default: 'false',
};

/** Of masters and agents; operators' commands have the same flags. */
export const tlsSettings: readonly Setting[] = [
  {
    key: 'tls.dir',
    flag: '--tls',
    takes: 'DIR',
    as: 'text',
    about: 'folder with ca.pem, cert.pem and key.pem, as `sublet ca issue` makes it; in place of the three below',
  },
  {
    key: 'tls.ca',
    flag: '--tls-ca',
    takes: 'FILE',
    as: 'text',
    about: 'certificates of the authority that all masters, agents and operators trust, PEM',
  },
  {
    key: 'tls.cert',
    flag: '--tls-cert',
    takes: 'FILE',
    as: 'text',
    about: 'this process’s certificate, PEM; its one URI name is sublet://ROLE/ID',
  },
  { key: 'tls.key', flag: '--tls-key', takes: 'FILE', as: 'text', about: 'the key of tls.cert, PEM, mode 0600' },
  {
    key: 'tls.renew',
    flag: '--tls-renew',
    takes: 'BOOL',
    as: 'switch',
    about:
      'has the masters renew tls.cert from half of its life on, in place and with the same key; for one that `sublet token use` has brought',
    default: 'false',
  },
];
export const logSettings: readonly Setting[] = [
  {
    key: 'log.level',
    flag: '--log-level',
    takes: 'LEVEL',
    as: 'text',
    about: 'the least that is logged: error, warn, info, debug or trace',
    default: defaultLog.level,
  },
  {
    key: 'log.format',
    flag: '--log-format',
    takes: 'FORMAT',
    as: 'text',
    about: 'auto (readable on a terminal, JSON otherwise), readable or json',
    default: defaultLog.format,
  },
];
