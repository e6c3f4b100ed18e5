import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { JsonPathError, parsePath, parseTemplate, render, select } from '#cli/output/json-path.js';

const value = {
  agents: [
    { agentId: 'a1', nodeIp: '10.0.0.1', reachable: true, lease: { epoch: '7' }, overlays: [{ subnet: '9.0.0.0/24' }] },
    {
      agentId: 'a2',
      nodeIp: '10.0.0.2',
      lease: { epoch: '12' },
      overlays: [{ subnet: '9.0.1.0/24' }, { subnet: 'x' }],
    },
    { agentId: 'a3', nodeIp: '10.0.0.3', reachable: true, 'a.b': 3 },
  ],
  revision: '9',
};

describe('JSONPath templates', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{.revision}', '9'],
    ['.revision', '9'],
    ['$.revision', '9'],
    ['{$.revision}', '9'],
    ['revision {.revision}!', 'revision 9!'],
    ['{.agents[*].nodeIp}', '10.0.0.1 10.0.0.2 10.0.0.3'],
    ['{.agents[].nodeIp}', 'at character 10: a number, *, a quoted name or ?(…) is needed'],
    ['{.agents.*.nodeIp}', '10.0.0.1 10.0.0.2 10.0.0.3'],
    ['{.agents[0].agentId}', 'a1'],
    ['{.agents[-1].agentId}', 'a3'],
    ['{.agents[3].agentId}', ''],
    ['{.agents[0:2].agentId}', 'a1 a2'],
    ['{.agents[1:].agentId}', 'a2 a3'],
    ['{.agents[:-1].agentId}', 'a1 a2'],
    ["{.agents[2]['a.b']}", '3'],
    ['{..subnet}', '9.0.0.0/24 9.0.1.0/24 x'],
    ['{.agents[1].overlays}', '[{"subnet":"9.0.1.0/24"},{"subnet":"x"}]'],
    ['{.agents[?(@.reachable==true)].agentId}', 'a1 a3'],
    ['{.agents[?(@.reachable)].agentId}', 'a1 a3'],
    ['{.agents[?(@.agentId=="a2")].nodeIp}', '10.0.0.2'],
    ["{.agents[?(@.agentId != 'a2')].agentId}", 'a1 a3'],
    ['{.agents[?(@.lease.epoch > 7)].agentId}', 'a2'],
    ['{.agents[?(@.lease.epoch>=7)].agentId}', 'a1 a2'],
    ['{.agents[?(@.lease.epoch!=7)].agentId}', 'a2 a3'],
    ['{.agents[?(@.lease<7)].agentId}', ''],
    ['{range .agents[*]}{.agentId}{"\\t"}{.nodeIp}{"\\n"}{end}', 'a1\t10.0.0.1\na2\t10.0.0.2\na3\t10.0.0.3\n'],
    ['{range .agents[*]}{.agentId}:{range .overlays[*]} {.subnet}{end};{end}', 'a1: 9.0.0.0/24;a2: 9.0.1.0/24 x;a3:;'],
    ['{.toString}{.constructor}{.__proto__}{.agents.length}', ''],
    ['', 'a template is needed, like {.agents[*].nodeIp}'],
    ['{.agents', 'at character 9: } is missing, or this is not a path'],
    ['{.agents[0}', 'at character 11: ] is missing'],
    ['{..}', 'at character 4: the name of a field is needed after a dot'],
    ['{end}', 'at character 6: {end} without {range …}'],
    ['{range .a}x', 'at character 12: {range …} without {end}'],
    ['{"a}', 'at character 5: " is missing'],
    ['{"\\q"}', String.raw`at character 5: only \n, \t, \r, \\, \" and \' are known after \ `.trim()],
    ['.agents[?(agentId)]', 'at character 11: a path of the item is needed, like @.agentId'],
    ['{.a[?(@.b==x)]}', 'at character 12: a quoted text, a number, true or false is needed'],
    ['x'.repeat(4_097), '4097 characters are more than 4096'],
    ['{range .a}'.repeat(9), 'at character 88: more than 8 ranges within one another'],
  ];
  for (const [template, wanted] of cases) {
    it(`makes of ${template.slice(0, 70)}: ${JSON.stringify(wanted)}`, () => {
      assert.equal(made(template), wanted);
    });
  }

  function made(template: string): string {
    try {
      return render(parseTemplate(template), value);
    } catch (error) {
      if (error instanceof JsonPathError) return error.message;
      throw error;
    }
  }

  it('takes any text for a template, or says where it is none', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '.',
      '..',
      '[',
      ']',
      '*',
      '0',
      ':',
      '?(@',
      ')',
      '==',
      '"',
      'a',
      'range ',
      'end',
      ' ',
    );
    fc.assert(
      fc.property(
        fc.array(piece).map((pieces) => pieces.join('')),
        (text) => void made(text),
      ),
    );
  });

  it('puts texts out printable, as they may be of another machine', () => {
    assert.equal(render(parseTemplate('{.a}|{.b}'), { a: 'x\n\u001b[31my', b: ['\u202e'] }), 'x [31my|[" "]');
  });

  it('reads a path with braces, with a dot, or without either', () => {
    for (const text of ['agents[1].agentId', '.agents[1].agentId', '{.agents[1].agentId}']) {
      assert.deepEqual(select(parsePath(text), value), ['a2'], text);
    }
    assert.throws(() => parsePath('{.a}{.b}'), JsonPathError);
    assert.throws(() => parsePath('{"a"}'), JsonPathError);
  });
});
