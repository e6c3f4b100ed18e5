/** What was changed, when and by which principal; the newest first. */
import type { ComponentChild } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type HistoryAnswer, masters } from '#page/view/master-calls.js';
import { clockText, rfc3339 } from '#page/view/texts.js';
import { useThrottled } from '#page/view/use-poll.js';

type Entries = NonNullable<HistoryAnswer['entries']>;
type Filters = { readonly agentId: string; readonly who: string; readonly what: string; readonly since: string };

const noFilters: Filters = { agentId: '', who: '', what: '', since: '' };
const labels: readonly (readonly [keyof Filters, string])[] = [
  ['agentId', 'agent'],
  ['who', 'by'],
  ['what', 'kind'],
  ['since', 'since'],
];
const pageEntries = 100;
const refreshMs = 1_000;
const typingMs = 300;

export type HistoryViewProps = {
  readonly revision: number;
  /** Whether there is such an agent now. */
  readonly isAgent: (agentId: string) => boolean;
  readonly choose: (agentId: string) => void;
};

export function HistoryView({ revision, isAgent, choose }: HistoryViewProps): ComponentChild {
  const [filters, setFilters] = useState(noFilters);
  const wanted = useThrottled(filters, typingMs);
  const at = useThrottled(revision, refreshMs);
  const [newest, setNewest] = useState<Entries>([]);
  const [older, setOlder] = useState<Entries>([]);
  const [error, setError] = useState('');

  const ask = async (before?: string): Promise<Entries> => {
    const { agentId, who, what, since } = wanted;
    const answer = await masters.history({
      limit: pageEntries,
      ...(agentId && { agentId }),
      ...(who && { who }),
      ...(what && { what: [what] }),
      ...(since && { since: rfc3339(since) }),
      ...(before && { beforeRevision: before }),
    });
    return [...(answer.entries ?? [])].reverse();
  };
  const failed = (why: unknown): void => setError(why instanceof Error ? why.message : String(why));
  useEffect(() => setOlder([]), [wanted]);
  useEffect(() => {
    let ended = false;
    ask().then(
      (entries) => {
        if (ended) return;
        setNewest(entries);
        setError('');
      },
      (why: unknown) => {
        if (!ended) failed(why);
      },
    );
    return () => {
      ended = true;
    };
  }, [wanted, at]);

  // The newest may have moved on: nothing is shown twice.
  const last = Number(newest.at(-1)?.revision ?? 0);
  const entries = [...newest, ...older.filter(({ revision: of }) => Number(of) < last)];
  return (
    <section>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        {labels.map(([name, label]) => (
          <label key={name}>
            {label}
            <input
              {...(name === 'since' ? ({ type: 'datetime-local' } as const) : ({ type: 'text' } as const))}
              name={name}
              value={filters[name]}
              autocomplete="off"
              onInput={(event) => setFilters({ ...filters, [name]: event.currentTarget.value })}
            />
          </label>
        ))}
        <button type="button" onClick={() => setFilters(noFilters)}>
          all
        </button>
      </form>
      {error !== '' && <p class="bad">{error}</p>}
      <div class="wide">
        <table class="history">
          <thead>
            <tr>
              <th>time</th>
              <th>kind</th>
              <th>by</th>
              <th>what</th>
              <th class="number">revision</th>
            </tr>
          </thead>
          <tbody>
            {entries.map(({ revision: of, time, what, who = '', subjects = [], detail }, index) => (
              <tr key={`${of} ${index}`}>
                <td>{clockText(time)}</td>
                <td>{what}</td>
                <td>
                  {isAgent(who) ? (
                    <button type="button" class="link" onClick={() => choose(who)}>
                      {who}
                    </button>
                  ) : (
                    who
                  )}
                </td>
                <td>
                  {subjects.join(', ')} <small>{detail}</small>
                </td>
                <td class="number">{of}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {entries.length === 0 && <p>Nothing.</p>}
      {entries.length >= pageEntries && (
        <button
          type="button"
          onClick={() => ask(entries.at(-1)?.revision).then((more) => setOlder([...older, ...more]), failed)}
        >
          older
        </button>
      )}
    </section>
  );
}
