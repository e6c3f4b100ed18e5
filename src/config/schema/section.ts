/** The objects and lists of a configuration as zod schemas: they know their keys, and no others. */
import { z } from 'zod';
import { closest } from '#config/schema/closest.js';
import { showValue } from '#config/schema/config-problem.js';

/**
 * An object with these keys only. For several unknown keys the one issue has one message per line, in the order
 * of its `keys`.
 */
export function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(key, keys)).join('\n');
      return `${showValue(issue.input)} is not an object: { … } with the keys ${keys.join(', ')} is allowed`;
    },
  });
}

/** A list of at most `max` elements. */
export function list<Element extends z.ZodType>(element: Element, max: number) {
  return z.array(element, { error: (issue) => `${showValue(issue.input)} is not a list: [ … ] is allowed` }).max(max, {
    error: ({ input }) =>
      `has ${Array.isArray(input) ? input.length : 'too many'} elements: at most ${max} are allowed`,
  });
}

function unknownKey(key: string, keys: readonly string[]): string {
  const meant = closest(key, keys);
  return `is not a known key${meant === undefined ? '' : `; did you mean ${meant}?`} (allowed: ${keys.join(', ')})`;
}
