import assert from 'node:assert/strict';
import { agentMetrics } from '#agent/report/agent-metrics.js';
import { agentStatus } from '#agent/report/agent-status.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import type { CertificateReport } from '#tls/certificate/certificate-reloader.js';

describe('what an agent says of its certificate', () => {
  const principal = { role: 'agent', id: 'host-7', serial: '0A', beginsMs: 1_000, endsMs: 7_000 } as const;
  const warning = { message: 'the certificate ends soon', remedy: 'put a new one in place' };
  const certificate: CertificateReport = {
    material: { principal, authorityEndsMs: 9_000 },
    age: 'ending',
    problem: 'tls.key: no',
    warnings: () => [warning],
  };

  it('is in its status, with what is wrong among its problems', () => {
    const agent = new AgentWorld().start();
    const status = agentStatus(agent, 'plan', certificate);
    assert.deepEqual(status.certificate, {
      identity: 'agent/host-7',
      serial: '0A',
      ends: '1970-01-01T00:00:07Z',
      age: 'ending',
      problem: 'tls.key: no',
    });
    assert.ok(status.problems.includes('the certificate ends soon: put a new one in place'), status.problems.join());
    assert.equal(agentStatus(agent, 'plan').certificate, null);
  });

  it('is in its metrics, as absolute times', async () => {
    const page = await agentMetrics(new AgentWorld().start(), certificate).metrics();
    assert.match(page, /^sublet_certificate_expires_seconds\{certificate="own"\} 7$/m);
    assert.match(page, /^sublet_certificate_expires_seconds\{certificate="authority"\} 9$/m);
    assert.match(page, /^sublet_certificate_begins_seconds 1$/m);
    assert.match(page, /^sublet_certificate_reload_failed 1$/m);
  });
});
