/** One agent: where it is, whether it is heard, and how its overlays are. */
import type { ComponentChild } from 'preact';
import type { Target } from '#page/view/map-view.js';
import { masters } from '#page/view/master-calls.js';
import { agoText, clockText, enumText } from '#page/view/texts.js';
import { usePoll } from '#page/view/use-poll.js';

const everyMs = 5_000;

export type AgentPanelProps = {
  readonly agentId: string;
  readonly revision: number;
  readonly close: () => void;
  readonly show: (target: Target) => void;
};

export function AgentPanel({ agentId, close, show }: AgentPanelProps): ComponentChild {
  const { answer, error } = usePoll(() => masters.agent(agentId), everyMs, [agentId]);
  const agent = answer?.agent;
  const presence = enumText(agent?.presence?.state, 'PRESENCE_STATE_');
  return (
    <aside aria-label={`agent ${agentId}`}>
      <header class="panel-head">
        <h2>{agentId}</h2>
        <button type="button" class="plain" aria-label="close" title="close (Escape)" onClick={close}>
          ✕
        </button>
      </header>
      {error !== '' && <p class="bad">{error}</p>}
      {agent !== undefined && (
        <>
          <dl>
            <dt>presence</dt>
            <dd class={presence === 'silent' ? 'bad' : ''}>
              {presence} <small>{agoText(agent.presence?.silentSince ?? agent.presence?.lastHeard)}</small>
            </dd>
            <dt>node address</dt>
            <dd>
              {agent.nodeIp} {agent.reachable !== true && <span class="bad">lost to another agent</span>}
            </dd>
            <dt>host name</dt>
            <dd>{agent.hostname}</dd>
            <dt>VTEP</dt>
            <dd>
              {agent.vxlan?.vtepIp} <small>{agent.vxlan?.vtepMac}</small>
            </dd>
            <dt>registered</dt>
            <dd>{clockText(agent.registeredAt)}</dd>
          </dl>
          <ul class="cards">
            {(agent.overlays ?? []).map(({ info, subnet, subnet6, state }) => {
              const status = enumText(state?.status, 'OVERLAY_STATUS_');
              return (
                <li key={info.name}>
                  <b>{info.name}</b> <span class={status === 'failed' ? 'bad' : 'good'}>{status}</span>
                  {[subnet, subnet6].map(
                    (each) =>
                      each && (
                        <button
                          key={each}
                          type="button"
                          class="link"
                          onClick={() => show({ overlay: info.name, subnet: each })}
                        >
                          {each}
                        </button>
                      ),
                  )}
                  {state?.error && <p class="bad">{state.error}</p>}
                </li>
              );
            })}
          </ul>
        </>
      )}
    </aside>
  );
}
