/** An overlay as a Hilbert curve: each cell is a block, coloured by its state. */
import type { ComponentChild } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { cellOf, numberAt } from '#page/plan/hilbert.js';
import { type BlockMap, cellStates, type PlanModel } from '#page/plan/plan-model.js';
import { type Raster, rasterOf } from '#page/plan/raster.js';
import { addressText, blockAt, blockText, type MapFamily, parsedAddress } from '#page/plan/subnet.js';
import { fitted, panned, pointAt, type Viewport, zoomed } from '#page/plan/viewport.js';
import { blocks, masters, type UsageAnswer } from '#page/view/master-calls.js';
import { countText, emptyText } from '#page/view/texts.js';
import { cssColour } from '#page/view/theme.js';
import { usePoll, useThrottled } from '#page/view/use-poll.js';

/** What the map is to show: an overlay, and a subnet of it. */
export type Target = { readonly overlay: string; readonly family?: MapFamily; readonly subnet?: string };

const usageEveryMs = 30_000;
const changesMs = 1_000;
/** Cells from so many pixels on have lines between them, and texts. */
const linesFromPx = 9;
const textsFromPx = 84;
const step = 1.5;
const targetCellPx = 96;

export type MapViewProps = {
  readonly model: PlanModel;
  readonly tick: number;
  readonly theme: number;
  readonly target: Target | undefined;
  readonly choose: (agentId: string) => void;
};

export function MapView({ model, tick, theme, target, choose }: MapViewProps): ComponentChild {
  const [wanted, setWanted] = useState<Target>();
  const [asideTick, setAsideTick] = useState(0);
  const [problem, setProblem] = useState('');
  const at = useThrottled(model.revision, changesMs);
  const usage = usePoll(masters.overlays, usageEveryMs, [at]);
  useEffect(() => setWanted(target), [target]);
  const family = wanted?.family ?? (wanted?.subnet?.includes(':') ? 'v6' : undefined);
  const map =
    model.maps.find(
      ({ overlay, family: of }) => overlay === wanted?.overlay && (family === undefined || of === family),
    ) ?? model.maps[0];

  useEffect(() => {
    if (map === undefined) return;
    let ended = false;
    const load = async (): Promise<void> => {
      try {
        const runs = await blocks(map.overlay, map.family);
        if (ended) return;
        map.setAside(runs);
        setAsideTick((last) => last + 1);
        setProblem('');
      } catch (error) {
        if (!ended) setProblem(error instanceof Error ? error.message : String(error));
      }
    };
    void load();
    const timer = setInterval(load, usageEveryMs);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [map, at]);

  if (map === undefined) {
    return <p class="empty">{emptyText(model, 'There is no overlay yet: sublet overlay add')}</p>;
  }
  const usageOf = (each: BlockMap): UsageAnswer | undefined => {
    const found = usage.answer?.overlays?.find(({ overlay }) => overlay.name === each.overlay);
    return each.family === 'v4' ? found?.usage : found?.usage6;
  };
  return (
    <section class="map">
      <div class="overlays" role="tablist" aria-label="overlays">
        {model.maps.map((each) => (
          <button
            key={`${each.overlay} ${each.family}`}
            type="button"
            role="tab"
            aria-selected={each === map}
            onClick={() => setWanted({ overlay: each.overlay, family: each.family })}
          >
            {each.overlay} <small>{each.family === 'v6' ? 'IPv6' : ''}</small>
            <Usage usage={usageOf(each)} />
          </button>
        ))}
      </div>
      <Legend usage={usageOf(map)} />
      {problem !== '' && <p class="bad">{problem}</p>}
      <Canvas
        key={`${map.overlay} ${map.family}`}
        model={model}
        map={map}
        version={tick + asideTick}
        theme={theme}
        subnet={wanted?.overlay === map.overlay ? wanted.subnet : undefined}
        choose={choose}
      />
    </section>
  );
}

function Usage({ usage }: { readonly usage: UsageAnswer | undefined }): ComponentChild {
  const total = Number(usage?.total ?? 0);
  return (
    <span class="usage" aria-hidden="true">
      {cellStates.map((state) => (
        <i
          key={state}
          class={state}
          style={{ flexGrow: total === 0 ? Number(state === 'free') : Number(usage?.[state] ?? 0) / total }}
        />
      ))}
    </span>
  );
}

function Legend({ usage }: { readonly usage: UsageAnswer | undefined }): ComponentChild {
  return (
    <ul class="legend">
      {cellStates.map((state) => (
        <li key={state}>
          <i class={state} /> {state} <b data-state={state}>{usage === undefined ? '' : countText(usage[state])}</b>
        </li>
      ))}
    </ul>
  );
}

type CanvasProps = {
  readonly model: PlanModel;
  readonly map: BlockMap;
  readonly version: number;
  readonly theme: number;
  readonly subnet: string | undefined;
  readonly choose: (agentId: string) => void;
};

function Canvas({ model, map, version, theme, subnet, choose }: CanvasProps): ComponentChild {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [box, setBox] = useState<readonly [number, number]>([0, 0]);
  const [view, setView] = useState<Viewport>();
  /** The cell under the pointer or the keyboard. */
  const [cursor, setCursor] = useState<readonly [number, number]>();
  const picture = useMemo(() => document.createElement('canvas'), []);
  const raster = useMemo(() => paint(picture, rasterOf(map, palette())), [map, version, theme, picture]);
  const { side, perCell } = raster;
  const shown = view ?? fitted(side, box);

  useLayoutEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setBox([element.clientWidth, element.clientHeight]));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const address = parsedAddress(subnet ?? '');
    const block = address === undefined ? undefined : blockAt(map.space, address);
    if (block === undefined) return;
    const cell = cellOf(Math.floor(block / perCell), side);
    const [x, y] = [cell % side, Math.floor(cell / side)];
    setCursor([x, y]);
    setView({ x: x + 0.5, y: y + 0.5, scale: Math.max(targetCellPx, fitted(side, box).scale) });
  }, [subnet, map, side, perCell, box]);
  useLayoutEffect(() => {
    if (canvas.current !== null) draw(canvas.current, { picture, raster, map, model, view: shown, cursor, box });
  }, [raster, shown.x, shown.y, shown.scale, cursor, box, map, model, picture]);

  const zoom = (factor: number, point: readonly [number, number] = [box[0] / 2, box[1] / 2]): void =>
    setView(zoomed(shown, factor, point, box, side));
  const cellAt = ([x, y]: readonly [number, number]): readonly [number, number] | undefined => {
    const [cx, cy] = pointAt(shown, [x, y], box);
    const [column, row] = [Math.floor(cx), Math.floor(cy)];
    return column >= 0 && row >= 0 && column < side && row < side ? [column, row] : undefined;
  };
  const blockUnder = (at: readonly [number, number] | undefined): number | undefined => {
    const block = at === undefined ? undefined : numberAt(at[0], at[1], side) * perCell;
    return block !== undefined && block < map.space.count ? block : undefined;
  };
  const agentAt = (at: readonly [number, number] | undefined): string | undefined => {
    const block = blockUnder(at);
    return block === undefined ? undefined : map.holders.get(block);
  };
  const pointers = usePointers(canvas, {
    move: (by) => setView(panned(shown, by, box, side)),
    pinch: zoom,
    hover: (point) => setCursor(cellAt(point)),
    tap: (point) => {
      const at = cellAt(point);
      setCursor(at);
      const agentId = perCell === 1 ? agentAt(at) : undefined;
      if (agentId !== undefined) choose(agentId);
    },
  });
  const pressed = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const by = moves[event.key];
    if (by !== undefined) {
      event.preventDefault();
      const [x, y] = cursor ?? [Math.floor(shown.x), Math.floor(shown.y)];
      const next = [clamp(x + by[0], side), clamp(y + by[1], side)] as const;
      setCursor(next);
      setView({ ...shown, ...inSight(shown, next, box) });
    } else if (event.key === '+' || event.key === '=') zoom(step);
    else if (event.key === '-') zoom(1 / step);
    else if (event.key === '0') setView(undefined);
    else if (event.key === 'Enter') {
      const agentId = agentAt(cursor);
      if (agentId !== undefined) choose(agentId);
    }
  };
  return (
    <div class="canvas">
      <canvas
        ref={canvas}
        tabIndex={0}
        aria-label={`map of overlay ${map.overlay}: arrows move from block to block, plus and minus zoom, 0 shows all, Enter shows the agent`}
        onKeyDown={pressed}
        onDblClick={(event) => zoom(4, [event.offsetX, event.offsetY])}
        {...pointers}
      />
      <p class="readout" aria-live="polite">
        {readout(map, model, blockUnder(cursor), perCell)}
      </p>
      <div class="zoom">
        <button type="button" aria-label="zoom in" onClick={() => zoom(step)}>
          +
        </button>
        <button type="button" aria-label="zoom out" onClick={() => zoom(1 / step)}>
          −
        </button>
        <button type="button" aria-label="show all" onClick={() => setView(undefined)}>
          ⤢
        </button>
      </div>
    </div>
  );
}

function clamp(value: number, side: number): number {
  return Math.max(0, Math.min(side - 1, value));
}

/** A viewport's middle from which the cell is seen. */
function inSight(
  { x, y, scale }: Viewport,
  [cx, cy]: readonly [number, number],
  [width, height]: readonly [number, number],
) {
  const [halfX, halfY] = [width / 2 / scale - 1, height / 2 / scale - 1];
  return {
    x: Math.max(cx + 0.5 - Math.max(0, halfX), Math.min(cx + 0.5 + Math.max(0, halfX), x)),
    y: Math.max(cy + 0.5 - Math.max(0, halfY), Math.min(cy + 0.5 + Math.max(0, halfY), y)),
  };
}

function readout(map: BlockMap, model: PlanModel, block: number | undefined, perCell: number): string {
  if (block === undefined) return map.space.isWhole ? '' : `the first ${countText(map.space.count)} blocks are shown`;
  const subnet = blockText(map.space, block);
  if (perCell > 1) return `${countText(perCell)} blocks from ${subnet}`;
  const agentId = map.holders.get(block);
  const peer = agentId === undefined ? undefined : model.agents.get(agentId);
  return [subnet, map.stateOf(block), agentId, peer && addressText(peer.nodeIp)].filter((part) => part).join(' · ');
}

/** The colours of the states as a canvas has them. */
function palette(): readonly number[] {
  return cellStates.map((state) => {
    const [, red = '0', green = '0', blue = '0'] = /^#(..)(..)(..)/.exec(cssColour(`--${state}`)) ?? [];
    return (Number.parseInt(blue, 16) << 16) | (Number.parseInt(green, 16) << 8) | Number.parseInt(red, 16);
  });
}

function paint(picture: HTMLCanvasElement, raster: Raster): Raster {
  const { side, pixels } = raster;
  picture.width = side;
  picture.height = side;
  picture.getContext('2d')?.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), side, side), 0, 0);
  return raster;
}

type Scene = {
  readonly picture: HTMLCanvasElement;
  readonly raster: Raster;
  readonly map: BlockMap;
  readonly model: PlanModel;
  readonly view: Viewport;
  readonly cursor: readonly [number, number] | undefined;
  readonly box: readonly [number, number];
};

function draw(canvas: HTMLCanvasElement, { picture, raster, map, view, cursor, box }: Scene): void {
  const context = canvas.getContext('2d');
  const [width, height] = box;
  if (context === null || width === 0) return;
  const { side, perCell } = raster;
  const ratio = devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  context.imageSmoothingEnabled = view.scale < 1;
  const { scale } = view;
  const [left, top] = [width / 2 - view.x * scale, height / 2 - view.y * scale];
  context.drawImage(picture, left, top, side * scale, side * scale);
  const [fromX, fromY] = [Math.max(0, Math.floor(-left / scale)), Math.max(0, Math.floor(-top / scale))];
  const [toX, toY] = [
    Math.min(side, Math.ceil((width - left) / scale)),
    Math.min(side, Math.ceil((height - top) / scale)),
  ];
  if (scale >= linesFromPx) {
    context.strokeStyle = cssColour('--ground');
    context.lineWidth = scale > 40 ? 2 : 1;
    context.beginPath();
    for (let x = fromX; x <= toX; x++) {
      context.moveTo(left + x * scale, Math.max(0, top));
      context.lineTo(left + x * scale, Math.min(height, top + side * scale));
    }
    for (let y = fromY; y <= toY; y++) {
      context.moveTo(Math.max(0, left), top + y * scale);
      context.lineTo(Math.min(width, left + side * scale), top + y * scale);
    }
    context.stroke();
  }
  if (scale >= textsFromPx && perCell === 1) {
    context.font = '11px system-ui, sans-serif';
    const onMark = cssColour('--on-held');
    const inks = {
      free: cssColour('--text'),
      held: onMark,
      reserved: onMark,
      excluded: onMark,
      quarantined: cssColour('--on-quarantined'),
    } as const;
    for (let y = fromY; y < toY; y++) {
      for (let x = fromX; x < toX; x++) {
        const block = numberAt(x, y, side);
        if (block >= map.space.count) continue;
        context.fillStyle = inks[map.stateOf(block)];
        const [tx, ty] = [left + x * scale + 6, top + y * scale + 16];
        context.fillText(blockText(map.space, block), tx, ty, scale - 10);
        context.fillText(map.holders.get(block) ?? '', tx, ty + 16, scale - 10);
      }
    }
  }
  if (cursor === undefined) return;
  context.strokeStyle = cssColour('--text');
  context.lineWidth = 2;
  const edge = Math.max(scale, 6);
  const middle = [left + (cursor[0] + 0.5) * scale, top + (cursor[1] + 0.5) * scale] as const;
  context.strokeRect(middle[0] - edge / 2, middle[1] - edge / 2, edge, edge);
}

type Gestures = {
  readonly move: (by: readonly [number, number]) => void;
  readonly pinch: (factor: number, point: readonly [number, number]) => void;
  readonly hover: (point: readonly [number, number]) => void;
  readonly tap: (point: readonly [number, number]) => void;
};
type Held = { readonly start: readonly [number, number]; last: readonly [number, number]; moved: boolean };

const tapPx = 5;

/** Dragging, pinching, hovering and tapping; the wheel zooms. */
function usePointers(canvas: { readonly current: HTMLCanvasElement | null }, gestures: Gestures) {
  const held = useRef(new Map<number, Held>());
  const latest = useRef(gestures);
  latest.current = gestures;
  useLayoutEffect(() => {
    const element = canvas.current;
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      latest.current.pinch(Math.exp(-event.deltaY / 300), [event.offsetX, event.offsetY]);
    };
    // Not by the attribute: the page would scroll along.
    element?.addEventListener('wheel', wheel, { passive: false });
    return () => element?.removeEventListener('wheel', wheel);
  }, [canvas]);
  return {
    onPointerDown: (event: PointerEvent): void => {
      const at = [event.offsetX, event.offsetY] as const;
      held.current.set(event.pointerId, { start: at, last: at, moved: false });
      canvas.current?.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: PointerEvent): void => {
      const at = [event.offsetX, event.offsetY] as const;
      const own = held.current.get(event.pointerId);
      if (own === undefined) {
        latest.current.hover(at);
        return;
      }
      const others = [...held.current].filter(([id]) => id !== event.pointerId).map(([, each]) => each);
      const [other] = others;
      if (other !== undefined) {
        const [was, is] = [distance(own.last, other.last), distance(at, other.last)];
        if (was > 0 && is > 0) {
          latest.current.pinch(is / was, [(at[0] + other.last[0]) / 2, (at[1] + other.last[1]) / 2]);
        }
        other.moved = true;
        own.moved = true;
      } else if (own.moved || distance(at, own.start) > tapPx) {
        latest.current.move([at[0] - own.last[0], at[1] - own.last[1]]);
        own.moved = true;
      } else return;
      own.last = at;
    },
    onPointerUp: (event: PointerEvent): void => {
      const own = held.current.get(event.pointerId);
      held.current.delete(event.pointerId);
      if (own !== undefined && !own.moved) latest.current.tap(own.start);
    },
    onPointerCancel: (event: PointerEvent): void => {
      held.current.delete(event.pointerId);
    },
  };
}

function distance([x, y]: readonly [number, number], [otherX, otherY]: readonly [number, number]): number {
  return Math.hypot(x - otherX, y - otherY);
}
