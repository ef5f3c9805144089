import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { loadRules, shippedRules } from '../../detections/sigma/load.ts'
import { readFolders, runRuleTests } from '../../pipelines/rule-tests.ts'
import { testDeps } from '../support/deps.ts'

const own = await loadRules([`${shippedRules}haetae`])
const sigmahq = await loadRules([`${shippedRules}sigmahq`])

describe('our own rules', () => {
  test('all run', () => {
    expect(own.refused).toEqual([])
    expect(own.rules.length + own.correlations.length).toBeGreaterThanOrEqual(40)
    // What alerts: the others only feed correlations.
    expect(own.rules.filter(({ id }) => !own.feeding.has(id)).length + own.correlations.length).toBeGreaterThanOrEqual(
      32,
    )
  })

  test.each(own.rules)('$title: its own tests pass', async rule => {
    const results = await runRuleTests({ rules: [rule], correlations: [] }, testDeps())
    expect(results.filter(({ failure }) => failure !== undefined)).toEqual([])
  })

  test.each(own.rules)('$title: says what it is, what to do, and has tests of both answers', rule => {
    expect(rule.tests.filter(({ match }) => match).length).toBeGreaterThan(0)
    expect(rule.tests.filter(({ match }) => !match).length).toBeGreaterThan(0)
    expect(rule.description.length).toBeGreaterThan(40)
    expect(rule.haetae.runbook?.length).toBeGreaterThan(40)
    expect(rule.falsepositives.length).toBeGreaterThan(0)
    expect(rule.tags.some(tag => /^attack\.t\d{4}(\.\d{3})?$/.test(tag))).toBe(true)
    expect(rule.without).toEqual([])
  })

  test.each(own.correlations)('$title: its own tests pass', async correlation => {
    const results = await runRuleTests({ rules: [], correlations: [correlation] }, testDeps())
    expect(results.filter(({ failure }) => failure !== undefined)).toEqual([])
  })

  test.each(own.correlations)('$title: says what it is, what to do, and has tests of both answers', correlation => {
    expect(correlation.tests.filter(({ alerts }) => alerts > 0).length).toBeGreaterThan(0)
    expect(correlation.tests.filter(({ alerts }) => alerts === 0).length).toBeGreaterThan(0)
    expect(correlation.description.length).toBeGreaterThan(40)
    expect(correlation.haetae.runbook?.length).toBeGreaterThan(40)
    expect(correlation.falsepositives.length).toBeGreaterThan(0)
    expect(correlation.tags.some(tag => /^attack\.t\d{4}(\.\d{3})?$/.test(tag))).toBe(true)
  })

  test('that ask for a block say for how long', () => {
    const blocking = [...own.rules, ...own.correlations].filter(({ haetae }) => haetae.respond?.block)
    expect(blocking.length).toBeGreaterThan(10)
    for (const { haetae } of blocking) expect(haetae.respond?.ttl).toBeGreaterThan(0)
  })

  test('never block a whole network by themselves: behind one /24 of a carrier are thousands of customers', () => {
    const networks = own.correlations.filter(({ groupBy }) => groupBy.includes('haetae.network24'))
    expect(networks.length).toBeGreaterThan(0)
    expect(networks.filter(({ haetae }) => haetae.respond?.block).map(({ title }) => title)).toEqual([])
  })

  test('block for web requests only by what proves a program, so that neither a page nor a crowd can have an address blocked', () => {
    const proven = ['haetae.program', 'haetae.pretender']
    /** Those that see a proof in the label of AWS WAF that each request they count has. */
    const byLabel = ['credential_stuffing_automated']
    const blocking = own.correlations.filter(({ haetae }) => haetae.respond?.block)
    expect(blocking.length).toBeGreaterThan(10)
    for (const { name, groupBy, aliases, bases } of blocking) {
      for (const { rule } of bases.filter(each => each.rule.log === 'waf')) {
        const fields = groupBy.map(field => aliases[field]?.[rule.name ?? rule.id] ?? field)
        expect([name, fields.some(field => proven.includes(field)) || byLabel.includes(name!)]).toEqual([name, true])
      }
    }
    // One request proves nothing: no rule about single ones blocks.
    const single = own.rules.filter(({ haetae }) => haetae.respond?.block)
    expect(single.map(({ name }) => name)).toEqual(['guardduty_high_remote'])
  })

  test('that block say whom else they could hit, and have a test of somebody innocent', () => {
    for (const { title, falsepositives, tests, haetae } of own.correlations) {
      if (!haetae.respond?.block) continue
      expect([title, falsepositives.some(each => each.includes('behind the same address'))]).toEqual([title, true])
      expect([title, tests.filter(({ alerts }) => alerts === 0).length]).not.toEqual([title, 0])
    }
  })

  test('lie in files whose names are short forms of their titles', () => {
    for (const { file } of own.rules) expect(file).toMatch(/\/haetae\/[a-z0-9]+(-[a-z0-9]+)*\.yml$/)
  })
})

describe('SigmaHQ’s webserver rules', () => {
  test('are 86, of which at least 61 run and the others are refused for what WAF never logs', () => {
    expect(sigmahq.rules.length + sigmahq.refused.length).toBe(86)
    expect(sigmahq.rules.length).toBeGreaterThanOrEqual(61)
    expect([...new Set(sigmahq.refused.map(({ reason }) => reason))]).toEqual(['absent'])
  })

  test('are named in NOTICE with their licence, and each keeps its author', () => {
    const notice = readFileSync(fileURLToPath(new URL('../../NOTICE', import.meta.url)), 'utf8')
    expect(notice).toContain('Detection Rule License (DRL) 1.1')
    expect(sigmahq.rules.filter(({ author }) => author === '')).toEqual([])
  })
})

test('every file of rules that comes with Haetae is read when no folder is named', async () => {
  const files = readdirSync(shippedRules, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.yml'))
  const { rules, correlations, refused } = await readFolders([])
  const read = new Set([...rules, ...correlations, ...refused].map(({ file }) => file))
  expect(read.size).toBe(files.length)
})
