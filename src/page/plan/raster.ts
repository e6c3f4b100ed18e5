/** The blocks of a map as pixels, one for each cell of the curve: a cell of several blocks has their colours mixed. */
import { cellOf, sideOf } from '#page/plan/hilbert.js';
import { type BlockMap, cellStates } from '#page/plan/plan-model.js';

/** A colour as 0xBBGGRR, as a little-endian canvas has it, by the order of `cellStates`. */
export type Palette = readonly number[];

/** Pixels at an edge, at most. */
const sideMax = 1_024;

export type Raster = {
  readonly side: number;
  /** Blocks in one cell: a power of four. */
  readonly perCell: number;
  /** `side * side` colours, 0xAABBGGRR. */
  readonly pixels: Uint32Array<ArrayBuffer>;
};

export function rasterOf(map: BlockMap, palette: Palette): Raster {
  const { count } = map.space;
  const wanted = sideOf(count);
  const side = Math.min(wanted, sideMax);
  const perCell = (wanted / side) ** 2;
  const cells = Math.ceil(count / perCell);
  const pixels = new Uint32Array(side * side);
  // By number: the last run that touches a cell is shown where each cell is one block.
  const states = new Uint8Array(cells);
  const shares = perCell === 1 ? undefined : new Float32Array(cells);
  for (const [first, many, state] of map.runs()) {
    const index = cellStates.indexOf(state);
    const end = Math.ceil((first + many) / perCell);
    for (let cell = Math.floor(first / perCell); cell < end; cell++) {
      if (shares !== undefined) {
        const inside = Math.min(first + many, (cell + 1) * perCell) - Math.max(first, cell * perCell);
        shares[cell] = Math.min(1, (shares[cell] ?? 0) + inside / perCell);
      }
      states[cell] = index;
    }
  }
  const free = palette[0] ?? 0;
  for (let cell = 0; cell < cells; cell++) {
    const colour = palette[states[cell] ?? 0] ?? 0;
    // One block of many is still to be seen.
    const share = shares === undefined || states[cell] === 0 ? 1 : Math.max(0.35, shares[cell] ?? 0);
    pixels[cellOf(cell, side)] = 0xff000000 | (share === 1 ? colour : mixed(free, colour, share));
  }
  return { side, perCell, pixels };
}

function mixed(from: number, to: number, share: number): number {
  let colour = 0;
  for (const shift of [0, 8, 16]) {
    const [a, b] = [(from >> shift) & 255, (to >> shift) & 255];
    colour |= Math.round(a + (b - a) * share) << shift;
  }
  return colour;
}
