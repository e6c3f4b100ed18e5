import assert from 'node:assert/strict';
import { formatAgentStatus } from '#cli/local/agent-local.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

type Status = Parameters<typeof formatAgentStatus>[0];

const lease: NonNullable<Status['lease']> = {
  source: 'masters',
  valid: true,
  ttl_left_ms: null,
  cluster_id: 'berlin',
  epoch: 7,
  node_ip: '10.0.0.1',
  vxlan: { vtepIp: '44.128.0.1/20', vtepMac: '70:b3:d5:80:00:01' },
  overlays: [{ name: 'dcos', subnet: '9.0.0.0/24' }],
};

function shown(parts: Partial<Status>): string {
  const status: Status = {
    agent_id: 'a',
    network_mode: 'linux',
    master: '10.0.0.9:7070',
    registration: { state: 'registered' },
    lease,
    watch: { connected: true, revision: 12, peers: 3, last_error: '' },
    host: { overlays: [{ kind: 'ok', name: 'dcos' }], converged: true, problems: [] },
    addresses: [],
    ready: true,
    problems: [],
    ...parts,
  };
  return formatAgentStatus(status, new RecordedTerminal());
}

describe('sublet agent status', () => {
  it('says that all is well when it is', () => {
    assert.match(shown({}), /network\s+linux: this host is as it should be/);
    assert.match(shown({}), /peers\s+3, as of revision 12\n/);
  });

  it('says how full each range is', () => {
    const used = { overlay: 'dcos', family: 4, range: '9.0.0.0/25', size: 125, used: 12 };
    const addresses = [
      { ...used, bridge: 'd-dcos', used: 3 },
      { ...used, bridge: 'm-dcos' },
    ];
    assert.match(shown({ addresses }), /IN USE\s+dcos .* d-dcos 3 of 125, m-dcos 12 of 125\s/);
    const six = { overlay: 'dcos', bridge: 'm-dcos', family: 6, range: 'fd01:b::/81', used: 2 };
    assert.match(shown({ addresses: [six] }), / m-dcos 2 \(IPv6\)\s/);
  });

  it('does not call a host as it should be whose overlay failed, though no step is left to do', () => {
    const host = { overlays: [{ kind: 'failed', name: 'dcos', error: 'no' }], converged: true, problems: [] };
    assert.match(shown({ host }), /network\s+linux: 1 of 1 overlay failed/);
  });

  it('nor one that has a problem of its own', () => {
    const host = { overlays: [], converged: true, problems: ['no'] };
    assert.match(shown({ host }), /network\s+linux: 1 problem of this host/);
  });

  it('says of an agent that was refused that nothing is changed, and nothing of masters that are not heard', () => {
    const refused = shown({
      registration: { state: 'refused', error: 'held by another' },
      lease: null,
      watch: { connected: false, revision: 0, peers: 0, last_error: '' },
      host: { overlays: [], converged: false, problems: [] },
    });
    assert.match(refused, /registration\s+refused: held by another/);
    assert.match(refused, /network\s+linux: nothing is changed before the first lease/);
    assert.match(refused, /peers\s+not known before the first lease/);
    assert.doesNotMatch(refused, /no master is heard|is being changed/);
  });

  it('says that no master is heard when none is', () => {
    const watch = { connected: false, revision: 12, peers: 3 };
    assert.match(shown({ watch: { ...watch, last_error: '' } }), /revision 12 \(no master is heard\)/);
    assert.match(
      shown({ watch: { ...watch, last_error: '10.0.0.9:7070: connect ECONNREFUSED 10.0.0.9:7070' } }),
      /revision 12 \(no master is heard: nothing listens there \(connection refused\)\)/,
    );
    const reset =
      '10.0.0.9:7070: No connection established. Last error: read ECONNRESET (2026-01-02T03:04:05.678Z). Resolution note: ';
    assert.match(shown({ watch: { ...watch, last_error: reset } }), /\(no master is heard: read ECONNRESET\)\n/);
  });
});
