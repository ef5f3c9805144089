import { describe, expect, test } from 'vitest'
import { type Explanation, explainRule, explainRules } from '../../../detections/sigma/explain.ts'
import { parseRule } from '../../../detections/sigma/rule.ts'
import type { OcsfEvent } from '../../../platform/ocsf/event.ts'
import { document } from '../../support/sigma.ts'

const request: OcsfEvent = {
  src_endpoint: { ip: '192.0.2.7' },
  http_request: { http_method: 'GET', url: { path: '/admin/login' }, args: 'q=union+select', user_agent: 'curl/8.1' },
}
const rule = (detection: object) => parseRule('r.yml', document(detection))
const said = (detection: object): Pick<Explanation, 'matched' | 'held' | 'missing' | 'near'> => {
  const { matched, held, missing, near } = explainRule(rule(detection), request)
  return { matched, held, missing, near }
}

describe('what is said of a rule', () => {
  test('that matches: what holds, and of alternatives only those that do', () => {
    const detection = {
      selection: { 'cs-uri-stem|contains': ['/nothing', '/login', '/admin'], 'cs-method': 'GET' },
      condition: 'selection',
    }
    expect(said(detection)).toEqual({
      matched: true,
      held: ['cs-uri-stem contains "/login" or cs-uri-stem contains "/admin"', 'cs-method is "GET"'],
      missing: [],
      near: false,
    })
  })

  test('that one condition keeps from matching: which', () => {
    const detection = {
      path: { 'cs-uri-stem|startswith': '/admin' },
      tool: { 'cs-user-agent|contains': ['sqlmap', 'nikto', 'wpscan', 'nuclei', 'dirb'] },
      condition: 'path and tool',
    }
    expect(said(detection)).toEqual({
      matched: false,
      held: ['cs-uri-stem begins with "/admin"'],
      missing: [
        'cs-user-agent contains "sqlmap" or cs-user-agent contains "nikto" or cs-user-agent contains "wpscan" or 2 more',
      ],
      near: true,
    })
  })

  test('that an exception keeps from matching: the exception', () => {
    const detection = {
      path: { 'cs-uri-stem|endswith': '/login' },
      ours: { 'c-ip|cidr': '192.0.2.0/24' },
      condition: 'path and not ours',
    }
    expect(said(detection)).toMatchObject({
      held: ['cs-uri-stem ends with "/login"'],
      missing: ['not (c-ip is in 192.0.2.0/24)'],
      near: true,
    })
  })

  test.each([
    ['a method', { 'cs-method': 'GET' }],
    ['a field that is there', { 'cs-uri-query|exists': true }],
  ])('is not called near for what nearly every request fulfils: %s', (_what, common) => {
    const detection = { common, rare: { 'cs-uri-stem|contains': '/human2.aspx' }, condition: 'common and rare' }
    expect(said(detection)).toMatchObject({ matched: false, near: false })
  })

  test('with patterns, wildcards and numbers: in words', () => {
    const detection = {
      a: { 'cs-uri-query|re': 'union.{1,9}select' },
      b: { 'cs-user-agent': 'curl/?.*' },
      c: { 'cs-uri-stem|contains': 'x'.repeat(200) },
      condition: 'a and b and c',
    }
    expect(said(detection)).toMatchObject({
      held: ['cs-uri-query matches /union.{1,9}select/', 'cs-user-agent begins with "curl/?."'],
      missing: [`cs-uri-stem contains "${'x'.repeat(80)}…"`],
    })
  })
})

test('of many rules those are left that match or nearly do', () => {
  const rules = [
    rule({ a: { 'cs-uri-stem|contains': '/login' }, condition: 'a' }),
    rule({ a: { 'cs-uri-stem|contains': '/nowhere' }, condition: 'a' }),
    rule({ a: { 'cs-uri-stem|contains': '/login' }, b: { 'cs-user-agent|contains': 'nikto' }, condition: 'a and b' }),
  ]
  expect(explainRules(rules, request).map(({ matched, near }) => [matched, near])).toEqual([
    [true, false],
    [false, true],
  ])
})
