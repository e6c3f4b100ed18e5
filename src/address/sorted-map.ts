/**
 * A map kept in key order: a B-tree of height two, whose leaves hold up to `leafMax` entries. Finding is O(log n); an
 * insertion or removal also moves at most one leaf's entries, and splits or drops a leaf now and then, so its cost does
 * not grow with the map in practice. Iteration is in key order and must not be mixed with changes.
 */

const leafMax = 256;

type Leaf<K, V> = { keys: K[]; values: V[] };

export class SortedMap<K, V> {
  /** Negative, zero or positive as the first key is before, the same as or after the second; a total order. */
  readonly #compare: (a: K, b: K) => number;
  /** In key order; none is empty. */
  readonly #leaves: Leaf<K, V>[] = [];
  #entryCount = 0;

  constructor(compare: (a: K, b: K) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#entryCount;
  }

  get(key: K): V | undefined {
    const leaf = this.#leaves[this.#leafFor(key)];
    if (leaf === undefined) return undefined;
    const slot = this.#slotFor(leaf, key);
    const found = leaf.keys[slot];
    return found !== undefined && this.#compare(found, key) === 0 ? leaf.values[slot] : undefined;
  }

  /** Puts the value at the key, in place of one that is there. */
  set(key: K, value: V): void {
    const position = this.#leafToPut(key);
    const leaf = this.#leaves[position];
    if (leaf === undefined) {
      this.#leaves.push({ keys: [key], values: [value] });
      this.#entryCount = 1;
      return;
    }
    const slot = this.#slotToPut(leaf, key);
    const found = leaf.keys[slot];
    if (found !== undefined && this.#compare(found, key) === 0) {
      leaf.values[slot] = value;
      return;
    }
    leaf.keys.splice(slot, 0, key);
    leaf.values.splice(slot, 0, value);
    this.#entryCount += 1;
    if (leaf.keys.length > leafMax) this.#split(position, leaf, slot);
  }

  /** Whether there was something to delete. */
  delete(key: K): boolean {
    const position = this.#leafFor(key);
    const leaf = this.#leaves[position];
    if (leaf === undefined) return false;
    const slot = this.#slotFor(leaf, key);
    const found = leaf.keys[slot];
    if (found === undefined || this.#compare(found, key) !== 0) return false;
    leaf.keys.splice(slot, 1);
    leaf.values.splice(slot, 1);
    this.#entryCount -= 1;
    if (leaf.keys.length === 0) this.#leaves.splice(position, 1);
    return true;
  }

  /** The first entry at or after the key. */
  atOrAfter(key: K): readonly [K, V] | undefined {
    const leaf = this.#leaves[this.#leafFor(key)];
    return leaf === undefined ? undefined : entryAt(leaf, this.#slotFor(leaf, key));
  }

  /** The last entry at or before the key. */
  atOrBefore(key: K): readonly [K, V] | undefined {
    const position = this.#leafFor(key);
    const leaf = this.#leaves[position];
    if (leaf !== undefined) {
      const slot = this.#slotFor(leaf, key);
      const found = leaf.keys[slot];
      if (found !== undefined && this.#compare(found, key) === 0) return entryAt(leaf, slot);
      if (slot > 0) return entryAt(leaf, slot - 1);
    }
    const before = this.#leaves[position - 1];
    return before === undefined ? undefined : entryAt(before, before.keys.length - 1);
  }

  first(): readonly [K, V] | undefined {
    const leaf = this.#leaves[0];
    return leaf === undefined ? undefined : entryAt(leaf, 0);
  }

  last(): readonly [K, V] | undefined {
    const leaf = this.#leaves[this.#leaves.length - 1];
    return leaf === undefined ? undefined : entryAt(leaf, leaf.keys.length - 1);
  }

  /** Every entry in key order, from the given key on if there is one. */
  *entries(from?: K): Generator<readonly [K, V], void, undefined> {
    const start = from === undefined ? 0 : this.#leafFor(from);
    for (let position = start; position < this.#leaves.length; position++) {
      const leaf = this.#leaves[position];
      if (leaf === undefined) return;
      const slot = from !== undefined && position === start ? this.#slotFor(leaf, from) : 0;
      for (let next = slot; next < leaf.keys.length; next++) {
        const entry = entryAt(leaf, next);
        if (entry !== undefined) yield entry;
      }
    }
  }

  /** Every entry from the last to the first. */
  *entriesBackwards(): Generator<readonly [K, V], void, undefined> {
    for (let position = this.#leaves.length - 1; position >= 0; position--) {
      const leaf = this.#leaves[position];
      if (leaf === undefined) return;
      for (let slot = leaf.keys.length - 1; slot >= 0; slot--) {
        const entry = entryAt(leaf, slot);
        if (entry !== undefined) yield entry;
      }
    }
  }

  /** The leaf that a key belongs in: beyond every leaf it goes to the end of the last one, which is tried first. */
  #leafToPut(key: K): number {
    const last = this.#leaves.length - 1;
    const keys = this.#leaves[last]?.keys;
    const first = keys?.[0];
    return first !== undefined && this.#compare(first, key) <= 0 ? last : Math.min(this.#leafFor(key), last);
  }

  /** The first leaf whose last key is at or after the key; the number of leaves when there is none. */
  #leafFor(key: K): number {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const keys = this.#leaves[middle]?.keys;
      const last = keys?.[keys.length - 1];
      if (last !== undefined && this.#compare(last, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first slot of the leaf whose key is at or after the key. */
  #slotFor(leaf: Leaf<K, V>, key: K): number {
    let low = 0;
    let high = leaf.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = leaf.keys[middle];
      if (found !== undefined && this.#compare(found, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** As `slotFor`, quicker for a key after all others. */
  #slotToPut(leaf: Leaf<K, V>, key: K): number {
    const last = leaf.keys[leaf.keys.length - 1];
    return last !== undefined && this.#compare(last, key) < 0 ? leaf.keys.length : this.#slotFor(leaf, key);
  }

  /** Cuts an overfull leaf in two; when keys arrive in rising order the left one stays full. */
  #split(position: number, leaf: Leaf<K, V>, slot: number): void {
    const cut = slot === leaf.keys.length - 1 ? leafMax : leafMax >>> 1;
    this.#leaves.splice(position + 1, 0, { keys: leaf.keys.splice(cut), values: leaf.values.splice(cut) });
  }
}

function entryAt<K, V>(leaf: Leaf<K, V>, slot: number): readonly [K, V] | undefined {
  const key = leaf.keys[slot];
  const value = leaf.values[slot];
  // Neither keys nor values are ever undefined, so this asks only whether the slot exists.
  return key === undefined || value === undefined ? undefined : [key, value];
}
