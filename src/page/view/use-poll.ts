/** The newest answer of a call that is made again and again while the page is seen. */
import { useEffect, useRef, useState } from 'preact/hooks';

export type Polled<Answer> = { readonly answer: Answer | undefined; readonly error: string };

/** Asks every `everyMs`, and when one of `when` changes; an answer stays while the next one fails. */
export function usePoll<Answer>(
  call: () => Promise<Answer>,
  everyMs: number,
  when: readonly unknown[],
): Polled<Answer> {
  const [polled, setPolled] = useState<Polled<Answer>>({ answer: undefined, error: '' });
  const latest = useRef(call);
  latest.current = call;
  useEffect(() => {
    let ended = false;
    let timer = 0;
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await latest.current();
          if (!ended) setPolled({ answer, error: '' });
        } catch (error) {
          if (!ended) {
            setPolled(({ answer }) => ({ answer, error: error instanceof Error ? error.message : String(error) }));
          }
        }
      }
      if (!ended) timer = setTimeout(turn, everyMs);
    };
    void turn();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [everyMs, ...when]);
  return polled;
}

/** `value`, but changed at most every `ms`. */
export function useThrottled<Value>(value: Value, ms: number): Value {
  const [shown, setShown] = useState(value);
  const newest = useRef(value);
  const waits = useRef(false);
  newest.current = value;
  useEffect(() => {
    if (waits.current || Object.is(value, shown)) return;
    waits.current = true;
    setTimeout(() => {
      waits.current = false;
      setShown(newest.current);
    }, ms);
  }, [value, shown, ms]);
  return shown;
}
