/** The settings that masters and agents share. */
import type { LogConfig } from '#config/log-config.js';
import type { Setting } from '#config/setting.js';

export const insecureSetting: Setting = {
  key: 'insecure',
  flag: '--insecure',
  as: 'switch',
  about: 'listen beyond loopback without TLS: whoever reaches the ports may read and change everything',
  default: 'false',
};

export const defaultLog: LogConfig = { level: 'info', format: 'auto' };

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
