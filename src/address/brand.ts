/**
 * How this room makes its value types: a base type with a phantom name, so that an address can't be passed for a
 * plain number nor a VTEP offset for an address. Each brand has one constructor, which checks. Nothing exists at run time.
 */

declare const brand: unique symbol;

/** `Base` with a brand: types of different `Name` are not assignable to each other. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A text or number that is no address of the wanted kind. The message names the value and what is allowed. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  /** The value as it was given. */
  readonly value: string;

  constructor(value: string, problem: string) {
    const shown = value.length > 64 ? `${value.slice(0, 64)}…` : value;
    super(`"${shown}" ${problem}`);
    this.value = value;
  }
}
