/** The search: an address, an agent or an overlay. */
import type { ComponentChild, RefObject } from 'preact';
import { useState } from 'preact/hooks';
import type { PlanModel } from '#page/plan/plan-model.js';
import type { Target } from '#page/view/map-view.js';
import { masters } from '#page/view/master-calls.js';
import { enumText } from '#page/view/texts.js';

export type Found = { readonly agentId?: string; readonly target?: Target };
type Suggestion = Found & { readonly text: string; readonly kind: string };

const suggestionsMax = 8;

export type SearchProps = {
  readonly model: PlanModel;
  readonly input: RefObject<HTMLInputElement | null>;
  readonly found: (it: Found) => void;
};

export function Search({ model, input, found }: SearchProps): ComponentChild {
  const [text, setText] = useState('');
  const [result, setResult] = useState('');
  const suggestions = suggestionsFor(model, text);

  const choose = (it: Suggestion): void => {
    setText('');
    setResult('');
    input.current?.blur();
    found(it);
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const [first] = suggestions;
    if (first !== undefined) {
      choose(first);
      return;
    }
    if (!isAddress(text)) {
      setResult(`nothing here is named ${text}`);
      return;
    }
    try {
      const { kind, overlay, subnet, blockState, agentId, bridge } = await masters.lookup(text.trim());
      const state = enumText(blockState, 'BLOCK_STATE_');
      const parts = [overlay ?? enumText(kind, 'LOOKUP_KIND_'), subnet, state, agentId, bridge];
      setResult(`${text.trim()}: ${parts.filter((part) => part).join(' · ')}`);
      const target = overlay === undefined || subnet === undefined ? undefined : { overlay, subnet };
      found({ ...(agentId && { agentId }), ...(target && { target }) });
    } catch (error) {
      setResult(error instanceof Error ? error.message : String(error));
    }
  };

  return (
    <search>
      <form onSubmit={submit}>
        <input
          ref={input}
          type="search"
          aria-label="search"
          placeholder="address, agent or overlay"
          value={text}
          autocomplete="off"
          spellcheck={false}
          onFocus={(event) => event.currentTarget.select()}
          onKeyDown={({ key, currentTarget }) => {
            if (key !== 'Escape') return;
            setText('');
            setResult('');
            currentTarget.blur();
          }}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setResult('');
          }}
        />
      </form>
      {(suggestions.length > 0 || result !== '') && (
        <ul class="suggestions">
          {suggestions.map((each) => (
            <li key={`${each.kind} ${each.text}`}>
              <button type="button" onClick={() => choose(each)}>
                {each.text} <small>{each.kind}</small>
              </button>
            </li>
          ))}
          {result !== '' && (
            <li class="result" aria-live="polite">
              {result}
            </li>
          )}
        </ul>
      )}
    </search>
  );
}

function isAddress(text: string): boolean {
  return /^[\d.]+$/.test(text.trim()) || /^[\da-f:.]*:[\da-f:.]*$/i.test(text.trim());
}

function suggestionsFor(model: PlanModel, text: string): readonly Suggestion[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '' || isAddress(wanted)) return [];
  const overlays = model.maps
    .filter(({ overlay }) => overlay.startsWith(wanted))
    .map(({ overlay, family }) => ({ text: overlay, kind: `overlay, IP${family}`, target: { overlay, family } }));
  const found: Suggestion[] = [...overlays];
  if (model.agents.has(text.trim())) found.push({ text: text.trim(), kind: 'agent', agentId: text.trim() });
  for (const agentId of model.agents.keys()) {
    if (found.length >= suggestionsMax) break;
    if (agentId !== text.trim() && agentId.toLowerCase().includes(wanted)) {
      found.push({ text: agentId, kind: 'agent', agentId });
    }
  }
  return found.slice(0, suggestionsMax);
}
