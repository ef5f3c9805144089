import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { readRules, together } from '../../../detections/sigma/read.ts'
import { refusals } from '../../../detections/sigma/refusal.ts'
import { document } from '../../support/sigma.ts'

const detection = { selection: { 'cs-method': 'TRACE' }, condition: 'selection' }
const yaml = (more: object = {}, detected: object = detection): string => stringify(document(detected, more))
const refused = (text: string) => readRules('rules/a.yml', text).refused[0]

describe('a rule file', () => {
  test('gives what the rule says about itself', () => {
    const text = yaml({
      level: 'high',
      tags: ['attack.t1190'],
      falsepositives: ['Scans'],
      references: 'https://example.com',
      author: 'A',
      haetae: { runbook: 'Look.' },
      custom: { anything: 1 },
    })
    const { rules, refused: none } = readRules('rules/a.yml', text)
    expect(none).toEqual([])
    expect(rules).toMatchObject([
      {
        file: 'rules/a.yml',
        title: 'A rule',
        level: 'high',
        severity: 'high',
        tags: ['attack.t1190'],
        falsepositives: ['Scans'],
        references: ['https://example.com'],
        haetae: { runbook: 'Look.', blocked: false },
      },
    ])
  })

  test.each([
    [undefined, 'medium'],
    ['informational', 'info'],
    ['critical', 'critical'],
  ])('of level %s makes alerts of severity %s', (level, severity) => {
    expect(readRules('a.yml', yaml(level ? { level } : {})).rules[0]?.severity).toBe(severity)
  })

  test('may hold several rules, of which a broken one leaves the others alone', () => {
    const text = [yaml(), yaml({}, { ...detection, condition: 'nobody' }), yaml()].join('---\n')
    const { rules, refused: wrong } = readRules('rules/a.yml', text)
    expect(rules).toHaveLength(2)
    expect(wrong).toMatchObject([{ reason: 'invalid', title: 'A rule' }])
  })

  test.each([
    ['two keys of one name', 'title: a\ntitle: b\n', 'unreadable', 'rules/a.yml:2:1'],
    ['no YAML', 'a: [1', 'unreadable', 'rules/a.yml:1:6'],
    ['an alias of nothing', 'a: *b', 'unreadable', 'rules/a.yml:1:1'],
    ['nothing', '', 'unreadable', 'rules/a.yml:1:1'],
    ['a list', '- 1', 'invalid', 'rules/a.yml:1:1'],
    ['a correlation of nothing', 'title: a\ncorrelation: {}\n', 'invalid', 'rules/a.yml:1:1'],
    ['a filter', 'title: a\nfilter: {}\n', 'document', 'rules/a.yml:2:9'],
    ['a collection', 'action: global\n', 'document', 'rules/a.yml:1:9'],
    ['no title', 'id: a\n', 'invalid', 'rules/a.yml:1:1'],
    ['what is too large', `# ${'x'.repeat(300_000)}`, 'unreadable', 'rules/a.yml:1:1'],
  ])('with %s is refused at the place', (_, text, reason, where) => {
    expect(refused(text)).toMatchObject({ reason, where })
  })

  test('aliases that multiply are refused', () => {
    const levels = Array.from({ length: 12 }, (_, at) => `l${at + 1}: &l${at + 1} [${`*l${at},`.repeat(9)}]`)
    expect(refused(`l0: &l0 [x]\n${levels.join('\n')}`)).toMatchObject({ reason: 'unreadable' })
  })

  test.each([
    ['id', { id: 'nonsense' }, 'id: '],
    ['level', { level: 'severe' }, 'level: '],
    ['tests', { tests: [{ name: 'a', match: true, colour: 'red' }] }, 'tests.0: '],
    ['haetae', { haetae: { colour: 'red' } }, 'haetae: '],
  ])('with a wrong %s is refused for it', (_, more, message) => {
    const wrong = refused(yaml(more))
    expect(wrong).toMatchObject({ reason: 'invalid' })
    expect(wrong?.message).toContain(message)
  })

  test.each([
    [{ category: 'proxy' }, 'proxy'],
    [{ product: 'windows', category: 'process_creation' }, 'process_creation, windows'],
    [{ product: 'aws', service: 'cloudtrail' }, 'aws, cloudtrail'],
    [{ category: 'webserver', product: 'apache' }, 'webserver, apache'],
    [{}, 'no log'],
  ])('about %j is refused', (logsource, said) => {
    expect(refused(yaml({ logsource }))).toMatchObject({ reason: 'logsource' })
    expect(refused(yaml({ logsource }))?.message).toContain(said)
  })

  test('about product aws, service waf runs', () => {
    expect(readRules('a.yml', yaml({ logsource: { product: 'aws', service: 'waf' } })).rules).toHaveLength(1)
  })

  test.each(['deprecated', 'unsupported'])('that is %s is refused', status => {
    expect(refused(yaml({ status }))).toMatchObject({ reason: 'document' })
  })

  test('says line and field of a wrong value', () => {
    const text = yaml({}, { selection: { 'cs-method': 'A', 'cs-host|re': '(?=a)' }, condition: 'selection' })
    const line = text.split('\n').findIndex(each => each.includes('cs-host')) + 1
    expect(refused(text)).toMatchObject({
      reason: 'pattern',
      where: expect.stringMatching(`^rules/a.yml:${line}:`) as string,
    })
  })
})

describe('several files', () => {
  test('of two rules with one id the first stays, and the other is refused by name', () => {
    const text = yaml()
    const set = together([readRules('a.yml', text), readRules('b.yml', text)])
    expect(set.rules.map(({ file }) => file)).toEqual(['a.yml'])
    expect(set.refused).toMatchObject([{ file: 'b.yml', reason: 'duplicate' }])
    expect(set.refused[0]?.message).toContain('a.yml')
  })
})

test('each reason of the closed list has its sentence', () => {
  expect(Object.keys(refusals)).toHaveLength(14)
  for (const sentence of Object.values(refusals)) expect(sentence.length).toBeGreaterThan(20)
})
