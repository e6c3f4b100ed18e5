/** How the page writes times, sizes and names of the API. */
import type { PlanModel } from '#page/plan/plan-model.js';

/** What a view shows that has nothing to show: `empty` once the plan is loaded. */
export function emptyText(model: PlanModel, empty: string): string {
  return model.isLoaded ? empty : `Loading: ${countText(model.arriving)} agents`;
}

/** `3 min ago`; empty for no time. */
export function agoText(time: string | undefined): string {
  if (time === undefined) return '';
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1_000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}

export function clockText(time: string | undefined): string {
  return time === undefined ? '' : new Date(time).toLocaleString();
}

/** Of a local time as an input has it; undefined: none. */
export function rfc3339(local: string): string | undefined {
  return local === '' ? undefined : new Date(local).toISOString();
}

export function size(bytes: string | undefined): string {
  if (bytes === undefined) return '';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1_024 && unit < units.length - 1; unit++) value /= 1_024;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function countText(number: string | number | undefined): string {
  return Number(number ?? 0).toLocaleString('en-US');
}

/** `OVERLAY_STATUS_FAILED` → `failed`. */
export function enumText(name: string | undefined, prefix: string): string {
  return (name ?? '').replace(prefix, '').toLowerCase();
}
