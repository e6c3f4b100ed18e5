import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { agentSettings } from '#config/agent-settings.js';
import { masterSettings } from '#config/master-settings.js';
import { isObject } from '#config/schema/document.js';
import { type FileKind, fileKinds, fileSchema } from '#config/schema/file-schema.js';
import { parseYamlText } from '#config/schema/yaml-file.js';

type Schema = Readonly<Record<string, unknown>>;

function schemaAt(of: Schema, key: string): Schema {
  const properties = of.properties;
  const found = isObject(properties) ? properties[key] : undefined;
  assert.ok(isObject(found), `${key} is in the schema`);
  return found;
}

/** What of a value the schema does not allow: the keywords that the schemas use. */
function violations(schema: Schema, value: unknown, at = ''): string[] {
  const { type, properties, items, anyOf, pattern, minimum = 0, maximum = 0, required = [] } = schema;
  if (Array.isArray(anyOf)) {
    return anyOf.some((each) => violations(each, value).length === 0) ? [] : [`${at}: none of them`];
  }
  if (Array.isArray(schema.enum)) return schema.enum.includes(value) ? [] : [`${at}: not in the enum`];
  if (type === 'object' && isObject(value) && isObject(properties)) {
    const missing = Array.isArray(required) ? required.filter((key) => !(key in value)) : [];
    return [
      ...missing.map((key) => `${at}.${key}: missing`),
      ...Object.entries(value).flatMap(([key, inner]) => {
        const found = properties[key];
        return isObject(found) ? violations(found, inner, `${at}.${key}`) : [`${at}.${key}: unknown`];
      }),
    ];
  }
  if (type === 'array' && Array.isArray(value) && isObject(items)) {
    return value.flatMap((each, n) => violations(items, each, `${at}[${n}]`));
  }
  if (type === 'string' && typeof value === 'string') {
    return typeof pattern === 'string' && !new RegExp(pattern, 'u').test(value) ? [`${at}: pattern`] : [];
  }
  if (type === 'integer' && typeof value === 'number') {
    return value >= Number(minimum) && value <= Number(maximum) ? [] : [`${at}: range`];
  }
  return type === undefined || type === typeof value ? [] : [`${at}: ${String(type)} is wanted`];
}

describe('the schemas of files', () => {
  it('have every setting, with the words of the reference', () => {
    for (const [kind, settings] of [
      ['master', masterSettings],
      ['agent', agentSettings],
    ] as const) {
      for (const { key, alias, about } of settings) {
        const [last = '', ...before] = key.split('.').reverse();
        const inside = before.reverse().reduce(schemaAt, fileSchema(kind));
        assert.match(
          String(schemaAt(inside, last).description),
          new RegExp(`^${about.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}`),
          key,
        );
        if (alias !== undefined) schemaAt(inside, alias);
      }
    }
  });

  it('know their keys and no others', () => {
    for (const kind of fileKinds) assert.equal(fileSchema(kind).additionalProperties, false, kind);
  });

  const good: readonly (readonly [FileKind, string])[] = [
    [
      'master',
      readFileSync('docs/reference/configuration.md', 'utf8').match(/```json\n(.*?)```/s)?.[1] ?? 'no example',
    ],
    ['agent', '{"master": "10.0.0.1:7070,10.0.0.2:7070", "masters": ["10.0.0.1:7070"], "$schema": "x"}'],
    [
      'plan',
      'lease: {reclaim: never, quarantine: 1h30m}\nnetwork: {overlays: [{name: a, subnet: 9.0.0.0/8, prefix: 24}]}',
    ],
  ];
  for (const [kind, text] of good) {
    it(`allow what is right: ${text.slice(0, 40).replaceAll('\n', ' ')}`, () => {
      assert.deepEqual(violations(fileSchema(kind), parseYamlText(text).value), []);
    });
  }

  const bad: readonly (readonly [FileKind, string, string])[] = [
    ['plan', 'lease: {quarantine: 15}', '.lease.quarantine: string is wanted'],
    ['plan', 'lease: {quarantine: soon}', '.lease.quarantine: pattern'],
    ['plan', 'network: {vni: 16777216}', '.network.vni: range'],
    ['plan', 'network: {overlays: [{subnet: 9.0.0.0/8}]}', '.network.overlays[0].name: missing'],
    ['plan', 'reservations: [{overlay: x, agent: a}]', '.reservations[0].subnet: missing'],
    ['master', 'insecure: "yes"', '.insecure: boolean is wanted'],
    ['agent', 'cni_style: new', '.cni_style: not in the enum'],
    ['agent', 'masters: 7', '.masters: none of them'],
    ['agent', 'nonsense: 1', '.nonsense: unknown'],
  ];
  for (const [kind, text, wanted] of bad) {
    it(`do not allow ${text} of ${kind === 'agent' ? 'an' : 'a'} ${kind}`, () => {
      assert.deepEqual(violations(fileSchema(kind), parseYamlText(text).value), [wanted]);
    });
  }
});
