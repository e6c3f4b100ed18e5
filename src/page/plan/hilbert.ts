/** The Hilbert curve: neighbours on the line stay neighbours on the square, so a subnet is a compact patch. */

/** Side of the square of cells for `count` numbers: the least power of two whose square is not less. */
export function sideOf(count: number): number {
  let side = 1;
  while (side * side < count) side *= 2;
  return side;
}

/** The cell of number `at` on a square of `side`, as `y * side + x`. */
export function cellOf(at: number, side: number): number {
  let [x, y, rest] = [0, 0, at];
  for (let s = 1; s < side; s *= 2) {
    const rx = 1 & (rest >> 1);
    const ry = 1 & (rest ^ rx);
    if (ry === 0) {
      if (rx === 1) {
        x = s - 1 - x;
        y = s - 1 - y;
      }
      [x, y] = [y, x];
    }
    x += s * rx;
    y += s * ry;
    rest = Math.floor(rest / 4);
  }
  return y * side + x;
}

/** The number at a cell. */
export function numberAt(cellX: number, cellY: number, side: number): number {
  let [x, y, at] = [cellX, cellY, 0];
  for (let s = side / 2; s >= 1; s /= 2) {
    const rx = (x & s) > 0 ? 1 : 0;
    const ry = (y & s) > 0 ? 1 : 0;
    at += s * s * ((3 * rx) ^ ry);
    if (ry === 0) {
      if (rx === 1) {
        x = side - 1 - x;
        y = side - 1 - y;
      }
      [x, y] = [y, x];
    }
  }
  return at;
}
