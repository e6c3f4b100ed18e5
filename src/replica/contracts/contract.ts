/**
 * What every implementation of a port has to do, as cases for any test runner: `for (const { name, run } of cases)
 * it(name, run)`. A case makes what it needs anew, and rejects with an AssertionError when the implementation differs.
 */
export type ContractCase = { readonly name: string; readonly run: () => Promise<void> };

/** What one case works with, and what has to be done with it at the end. */
export type Subject<Value> = { readonly value: Value; readonly dispose?: () => Promise<void> };

/** A case about a fresh subject, which is disposed of however the case ends. */
export function contractCase<Value>(
  make: () => Promise<Subject<Value>>,
  name: string,
  check: (value: Value) => Promise<void>,
): ContractCase {
  return {
    name,
    run: async () => {
      const { value, dispose } = await make();
      try {
        await check(value);
      } finally {
        await dispose?.();
      }
    },
  };
}
