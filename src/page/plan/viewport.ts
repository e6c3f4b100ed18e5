/** Which part of the square of cells is seen: the cell in the middle, and the pixels of one cell. */

export type Viewport = { readonly x: number; readonly y: number; readonly scale: number };
type Box = readonly [width: number, height: number];
type Point = readonly [x: number, y: number];

const scaleMax = 160;

/** All of it. */
export function fitted(side: number, [width, height]: Box): Viewport {
  return { x: side / 2, y: side / 2, scale: Math.max(1e-3, Math.min(width, height) / side) };
}

/** The place at a point of the box, in cells. */
export function pointAt({ x, y, scale }: Viewport, [px, py]: Point, [width, height]: Box): Point {
  return [x + (px - width / 2) / scale, y + (py - height / 2) / scale];
}

/** Nearer by `factor`; what is at the point stays there. */
export function zoomed(view: Viewport, factor: number, point: Point, box: Box, side: number): Viewport {
  const least = fitted(side, box).scale;
  const scale = Math.max(least, Math.min(Math.max(scaleMax, least), view.scale * factor));
  const [x, y] = pointAt(view, point, box);
  const [stays] = [view.scale / scale];
  return inside({ x: x + (view.x - x) * stays, y: y + (view.y - y) * stays, scale }, box, side);
}

/** Moved by pixels. */
export function panned({ x, y, scale }: Viewport, [dx, dy]: Point, box: Box, side: number): Viewport {
  return inside({ x: x - dx / scale, y: y - dy / scale, scale }, box, side);
}

/** No further than to the edges. */
function inside({ x, y, scale }: Viewport, [width, height]: Box, side: number): Viewport {
  const bound = (at: number, pixels: number): number => {
    const half = pixels / 2 / scale;
    return half * 2 >= side ? side / 2 : Math.max(half, Math.min(side - half, at));
  };
  return { x: bound(x, width), y: bound(y, height), scale };
}
