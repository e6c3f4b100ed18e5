import assert from 'node:assert/strict';
import { knowledgeOf } from '#cli/local/agent-ping.js';
import { sublet } from '#proto/sublet.js';

const { OverlayStatus, PresenceState } = sublet.v1;
const live = { state: PresenceState.PRESENCE_STATE_LIVE };
const overlay = (status: number, error = '') => ({ info: { name: 'dcos' }, state: { status, error } });

describe('what the masters know of a peer that is not reached', () => {
  it('is nothing where it is live and has an overlay that works, or was never granted one', () => {
    assert.deepEqual(knowledgeOf(undefined), { kind: 'none' });
    assert.deepEqual(knowledgeOf({ presence: live }), { kind: 'none' });
    assert.deepEqual(knowledgeOf({ presence: live, overlays: [overlay(OverlayStatus.OVERLAY_STATUS_OK)] }), {
      kind: 'none',
    });
  });

  it('is that it has built nothing, in plan mode or just after its start', () => {
    const overlays = [overlay(OverlayStatus.OVERLAY_STATUS_CONFIGURING)];
    assert.deepEqual(knowledgeOf({ presence: live, overlays }), { kind: 'nothing-built' });
  });

  it('is what fails on its host, or that it is silent', () => {
    const overlays = [overlay(OverlayStatus.OVERLAY_STATUS_FAILED, 'no room')];
    assert.deepEqual(knowledgeOf({ presence: live, overlays }), { kind: 'failed', errors: ['overlay dcos: no room'] });
    const silent = { state: PresenceState.PRESENCE_STATE_SILENT };
    assert.deepEqual(knowledgeOf({ presence: silent, overlays }), { kind: 'silent' });
  });
});
