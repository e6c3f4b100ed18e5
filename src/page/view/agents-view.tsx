/**
 * The agents. All of them are known by the watch, and a row is made only for what is seen; presence and states of its overlays
 * are asked for then. Those that are silent or have a failed overlay are found by asking page by page.
 */
import type { ComponentChild } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { PlanModel } from '#page/plan/plan-model.js';
import { addressText, subnetText } from '#page/plan/subnet.js';
import { type AgentAnswer, masters, type StatusAnswer } from '#page/view/master-calls.js';
import { agoText, countText, emptyText, enumText } from '#page/view/texts.js';
import { useThrottled } from '#page/view/use-poll.js';

type Filter = 'all' | 'silent' | 'failed';

const rowPx = 34;
const rowsBeyond = 8;
const settleMs = 150;
const detailsEveryMs = 5_000;
const sortEveryMs = 1_000;
/** Of the API. */
const pageMax = 1_000;
/** Twenty pages a second are allowed to an identity. */
const pagePauseMs = 60;

export type AgentsViewProps = {
  readonly model: PlanModel;
  readonly tick: number;
  readonly counts: StatusAnswer['agents'];
  readonly choose: (agentId: string) => void;
  readonly chosen: string | undefined;
};

export function AgentsView({ model, tick, counts, choose, chosen }: AgentsViewProps): ComponentChild {
  const [filter, setFilter] = useState<Filter>('all');
  const sortTick = useThrottled(tick, sortEveryMs);
  const all = useMemo(() => [...model.agents.keys()].sort(), [model, sortTick]);
  const scan = useScan(filter);
  const ids = filter === 'all' ? all : scan.ids;
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<readonly [number, number]>([0, 30]);

  const measure = (): void => {
    const { scrollTop = 0, clientHeight = 600 } = box.current ?? {};
    const first = Math.max(0, Math.floor(scrollTop / rowPx) - rowsBeyond);
    setRange([first, first + Math.ceil(clientHeight / rowPx) + 2 * rowsBeyond]);
  };
  useLayoutEffect(() => {
    measure();
    addEventListener('resize', measure);
    return () => removeEventListener('resize', measure);
  }, []);
  const [first, end] = [Math.min(range[0], Math.max(0, ids.length - 1)), Math.min(range[1], ids.length)];
  const shown = ids.slice(first, end);
  const details = useDetails(filter === 'all' ? shown : [], all);

  const move = (event: KeyboardEvent): void => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const at = chosen === undefined ? -1 : ids.indexOf(chosen);
    const next = ids[Math.max(0, Math.min(ids.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)))];
    if (next === undefined) return;
    choose(next);
    const top = ids.indexOf(next) * rowPx;
    const { scrollTop = 0, clientHeight = 0 } = box.current ?? {};
    if (top < scrollTop || top > scrollTop + clientHeight - 2 * rowPx) {
      box.current?.scrollTo({ top: top - clientHeight / 2 });
    }
  };

  return (
    <section class="agents">
      <div class="filters" role="radiogroup" aria-label="which agents">
        {(['all', 'silent', 'failed'] as const).map((each) => (
          <label key={each}>
            <input type="radio" name="filter" checked={filter === each} onChange={() => setFilter(each)} />
            {each === 'all'
              ? `all (${countText(all.length)})`
              : each === 'silent'
                ? `silent (${countText(counts?.silent)})`
                : 'with a failed overlay'}
          </label>
        ))}
        {scan.note !== '' && <small aria-live="polite">{scan.note}</small>}
      </div>
      <div class="rows" ref={box} tabIndex={0} role="listbox" aria-label="agents" onScroll={measure} onKeyDown={move}>
        <div class="rows-height" style={{ height: `${ids.length * rowPx}px` }}>
          <div class="rows-shown" style={{ transform: `translateY(${first * rowPx}px)` }}>
            {shown.map((agentId) => (
              <AgentRow
                key={agentId}
                agentId={agentId}
                model={model}
                detail={scan.found.get(agentId) ?? details.get(agentId)}
                isChosen={agentId === chosen}
                choose={choose}
              />
            ))}
          </div>
        </div>
        {ids.length === 0 && <p class="empty">{filter === 'all' ? emptyText(model, 'No agents yet.') : 'None.'}</p>}
      </div>
    </section>
  );
}

type AgentRowProps = {
  readonly agentId: string;
  readonly model: PlanModel;
  readonly detail: AgentAnswer | undefined;
  readonly isChosen: boolean;
  readonly choose: (agentId: string) => void;
};

function AgentRow({ agentId, model, detail, isChosen, choose }: AgentRowProps): ComponentChild {
  const peer = model.agents.get(agentId);
  const presence = enumText(detail?.presence?.state, 'PRESENCE_STATE_');
  const failed = detail?.overlays?.find(({ state }) => state?.status === 'OVERLAY_STATUS_FAILED');
  const lost = peer?.unreachable === true ? 'node address lost' : '';
  const wrong = failed === undefined ? lost : `${failed.info.name}: ${failed.state?.error ?? 'failed'}`;
  return (
    <button
      type="button"
      role="option"
      aria-selected={isChosen}
      class={`row ${isChosen ? 'chosen' : ''}`}
      onClick={() => choose(agentId)}
    >
      <span class="name">{agentId}</span>
      <span>{peer && addressText(peer.nodeIp)}</span>
      <span class="subnets">
        {peer?.overlays
          .map(({ name, subnet, subnet6 }) => `${name} ${subnetText(subnet) || subnetText(subnet6)}`)
          .join(', ')}
      </span>
      <span class={presence === 'silent' ? 'bad' : 'good'}>
        {presence} {presence === 'silent' && <small>{agoText(detail?.presence?.silentSince)}</small>}
      </span>
      <span class="bad wrong" title={wrong}>
        {wrong}
      </span>
    </button>
  );
}

/** What the API says of the agents seen, a moment after the scrolling has ended and every few seconds. */
function useDetails(shown: readonly string[], all: readonly string[]): ReadonlyMap<string, AgentAnswer> {
  const [details, setDetails] = useState<ReadonlyMap<string, AgentAnswer>>(new Map());
  const [from, to] = [shown[0], shown.at(-1)];
  useEffect(() => {
    if (from === undefined) return;
    let ended = false;
    let timer = 0;
    const before = all[all.indexOf(from) - 1];
    const turn = async (): Promise<void> => {
      try {
        const pageSize = Math.min(pageMax, shown.length);
        const { agents = [] } = await masters.agents({ pageSize, ...(before && { pageToken: before }) });
        if (!ended) setDetails(new Map(agents.map((each) => [each.agentId, each])));
      } catch {
        // The state of the connection is shown at the top; the rows keep what is known by the watch.
      }
      if (!ended) timer = setTimeout(turn, detailsEveryMs);
    };
    timer = setTimeout(turn, settleMs);
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [from, to]);
  return details;
}

type Scan = {
  readonly ids: readonly string[];
  readonly found: ReadonlyMap<string, AgentAnswer>;
  readonly note: string;
};
const noScan: Scan = { ids: [], found: new Map(), note: '' };

/** Looks through all agents for those of the filter, once for each time that it is chosen. */
function useScan(filter: Filter): Scan {
  const [scan, setScan] = useState(noScan);
  useEffect(() => {
    setScan(noScan);
    if (filter === 'all') return;
    let ended = false;
    const run = async (): Promise<void> => {
      const found = new Map<string, AgentAnswer>();
      const presence = filter === 'silent' ? { presence: 'PRESENCE_STATE_SILENT' } : {};
      let looked = 0;
      for (let pageToken = ''; ; ) {
        const { agents = [], nextPageToken = '' } = await masters.agents({ pageSize: pageMax, pageToken, ...presence });
        if (ended) return;
        looked += agents.length;
        for (const agent of agents) {
          const failed = agent.overlays?.some(({ state }) => state?.status === 'OVERLAY_STATUS_FAILED') === true;
          if (filter === 'silent' || failed) found.set(agent.agentId, agent);
        }
        setScan({ ids: [...found.keys()], found, note: nextPageToken === '' ? '' : `${countText(looked)} looked at` });
        if (nextPageToken === '') return;
        pageToken = nextPageToken;
        await new Promise((resolve) => setTimeout(resolve, pagePauseMs));
      }
    };
    run().catch((error: unknown) => {
      if (!ended) setScan((last) => ({ ...last, note: error instanceof Error ? error.message : String(error) }));
    });
    return () => {
      ended = true;
    };
  }, [filter]);
  return scan;
}
