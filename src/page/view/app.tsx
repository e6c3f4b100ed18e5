/** The page: what is followed, what is chosen, and its four views. */
import type { ComponentChild } from 'preact';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { PlanModel } from '#page/plan/plan-model.js';
import { AgentPanel } from '#page/view/agent-panel.js';
import { AgentsView } from '#page/view/agents-view.js';
import { type Following, follow } from '#page/view/follow.js';
import { HistoryView } from '#page/view/history-view.js';
import { MapView, type Target } from '#page/view/map-view.js';
import { masters } from '#page/view/master-calls.js';
import { MastersView } from '#page/view/masters-view.js';
import { type Found, Search } from '#page/view/search.js';
import { countText } from '#page/view/texts.js';
import { applyTheme, toggleTheme } from '#page/view/theme.js';
import { usePoll } from '#page/view/use-poll.js';

const views = ['map', 'agents', 'masters', 'history'] as const;
type View = (typeof views)[number];
const titles: Readonly<Record<View, string>> = { map: 'Map', agents: 'Agents', masters: 'Masters', history: 'History' };
const statusEveryMs = 2_000;

function chosenView(): View {
  return views.find((each) => location.hash === `#${each}`) ?? 'map';
}

export function App(): ComponentChild {
  const model = useMemo(() => new PlanModel(), []);
  const [tick, setTick] = useState(0);
  const [state, setState] = useState<Following>('connecting');
  const [why, setWhy] = useState('');
  const [view, setView] = useState<View>(chosenView);
  const [agentId, setAgentId] = useState<string>();
  const [target, setTarget] = useState<Target>();
  const [themeTick, setThemeTick] = useState(0);
  const search = useRef<HTMLInputElement>(null);
  const status = usePoll(masters.status, statusEveryMs, []);

  useEffect(() => {
    // Messages come many at a time; what is shown changes once for a picture.
    let waits = false;
    const changed = (): void => {
      if (waits) return;
      waits = true;
      requestAnimationFrame(() => {
        waits = false;
        setTick((last) => last + 1);
      });
    };
    return follow(model, changed, (next, reason) => {
      setState(next);
      setWhy(reason);
    });
  }, [model]);

  const show = useCallback((next: View): void => {
    setView(next);
    history.replaceState(null, '', `#${next}`);
  }, []);

  // Before the first picture: what a person sees takes keys.
  useLayoutEffect(() => {
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const themed = (): void => {
      applyTheme();
      setThemeTick((last) => last + 1);
    };
    const hash = (): void => setView(chosenView());
    const pressed = (event: KeyboardEvent): void => {
      const { key, target: at } = event;
      if (key === 'Escape') setAgentId(undefined);
      const types = at instanceof HTMLInputElement || at instanceof HTMLSelectElement;
      if (types || event.ctrlKey || event.metaKey || event.altKey) return;
      const chosen = views[Number(key) - 1];
      if (chosen !== undefined) show(chosen);
      if (key === '/') {
        event.preventDefault();
        search.current?.focus();
      }
    };
    scheme.addEventListener('change', themed);
    addEventListener('hashchange', hash);
    addEventListener('keydown', pressed);
    return () => {
      scheme.removeEventListener('change', themed);
      removeEventListener('hashchange', hash);
      removeEventListener('keydown', pressed);
    };
  }, [show]);

  const found = (it: Found): void => {
    if (it.agentId !== undefined) setAgentId(it.agentId);
    if (it.target === undefined) return;
    setTarget(it.target);
    show('map');
  };
  const { agents, warnings = [], adoption } = status.answer ?? {};
  const wrong = warnings.filter(({ notice }) => notice !== true);

  return (
    <div class="page">
      <header>
        <h1>
          Sublet <small>{model.clusterId}</small>
        </h1>
        <Search model={model} input={search} found={found} />
        <p class={`following ${state}`} title={why} role="status">
          {state === 'live'
            ? `live, revision ${countText(model.revision)}`
            : state === 'lost'
              ? 'not connected'
              : 'loading'}
        </p>
        <button
          type="button"
          class="plain"
          title="dark or light"
          aria-label="dark or light"
          onClick={() => {
            toggleTheme();
            setThemeTick((last) => last + 1);
          }}
        >
          ◐
        </button>
      </header>
      <nav>
        {views.map((each, at) => (
          <a key={each} href={`#${each}`} class={each === view ? 'chosen' : ''} title={`key ${at + 1}`}>
            {titles[each]}
            {each === 'agents' && <small> {countText(model.agents.size || agents?.total)}</small>}
            {each === 'masters' && wrong.length > 0 && <small class="bad"> {wrong.length}</small>}
          </a>
        ))}
      </nav>
      {adoption === true && <p class="notice">Adoption: nothing fresh is granted until an operator ends it.</p>}
      <main>
        {view === 'map' && <MapView model={model} tick={tick} theme={themeTick} target={target} choose={setAgentId} />}
        {view === 'agents' && (
          <AgentsView model={model} tick={tick} counts={agents} choose={setAgentId} chosen={agentId} />
        )}
        {view === 'masters' && <MastersView status={status} />}
        {view === 'history' && (
          <HistoryView revision={model.revision} isAgent={(id) => model.agents.has(id)} choose={setAgentId} />
        )}
        {agentId !== undefined && (
          <AgentPanel
            key={agentId}
            agentId={agentId}
            revision={model.revision}
            close={() => setAgentId(undefined)}
            show={(next) => found({ target: next })}
          />
        )}
      </main>
    </div>
  );
}
