/** JSON Schemas (2020-12) of the files that Sublet reads, made of what reads them; for editors, which complete and check by them. */
import { z } from 'zod';
import { agentSettings } from '#config/agent-settings.js';
import { agentSchema } from '#config/files/agent-config.js';
import { masterSchema } from '#config/files/master-config.js';
import { planFileSchema } from '#config/files/plan-file.js';
import { masterSettings } from '#config/master-settings.js';
import { networkSettings } from '#config/network-settings.js';
import { isObject } from '#config/schema/document.js';
import type { Setting } from '#config/schema/setting.js';

export const fileKinds = ['plan', 'master', 'agent'] as const;
export type FileKind = (typeof fileKinds)[number];

type Source = { readonly title: string; readonly schema: z.ZodType; readonly settings: readonly Setting[] };

const planSettings: readonly Setting[] = [
  ...networkSettings.map(({ default: _, ...setting }) => setting),
  ...masterSettings.filter(({ key }) => key.startsWith('lease.')).map(({ default: _, ...setting }) => setting),
];

const sources: Readonly<Record<FileKind, Source>> = {
  plan: { title: 'Sublet: a plan for `sublet apply`', schema: planFileSchema, settings: planSettings },
  master: { title: 'Sublet: configuration of a master', schema: masterSchema, settings: masterSettings },
  agent: { title: 'Sublet: configuration of an agent', schema: agentSchema, settings: agentSettings },
};

/** What a file of this kind may hold. Rules between keys are no part of it: `sublet config check` and `sublet diff` know them. */
export function fileSchema(kind: FileKind): Readonly<Record<string, unknown>> {
  const { title, schema, settings } = sources[kind];
  const made: Record<string, unknown> = { ...z.toJSONSchema(schema, { io: 'input' }) };
  const properties = propertiesOf(made);
  properties.$schema = { type: 'string', description: 'where this schema is' };
  for (const setting of settings) describe(properties, setting);
  const { $schema, ...rest } = made;
  return { $schema, title, ...rest };
}

/** The words of the settings' tables, and the names that DC/OS's files have for keys. */
function describe(properties: Record<string, unknown>, { key, alias, about, default: byDefault }: Setting): void {
  const steps = key.split('.');
  let at = properties;
  for (const step of steps.slice(0, -1)) {
    const inner = at[step];
    if (!isObject(inner)) return;
    at = propertiesOf(inner);
  }
  const last = steps.at(-1) ?? '';
  const found = at[last];
  if (!isObject(found)) return;
  const allowed = typeof found.description === 'string' ? `; ${found.description}` : '';
  const words = byDefault === undefined ? '' : ` (default: ${byDefault})`;
  const described = { ...found, description: `${about}${words}${allowed}` };
  at[last] = described;
  if (alias !== undefined) at[alias] = described;
}

function propertiesOf(schema: Record<string, unknown>): Record<string, unknown> {
  const found = schema.properties;
  return isObject(found) ? found : {};
}
