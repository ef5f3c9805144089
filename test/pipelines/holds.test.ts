import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'
import { readHoldings, sendDecision } from '../../pipelines/holds.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { responseTopic } from '../../platform/response/topics.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { applyDecision } from '../../response/holds/apply.ts'
import { Budget } from '../../response/holds/budget.ts'
import { Guard } from '../../response/holds/guard.ts'
import { LedgerStore } from '../../response/holds/store.ts'
import { blockOf, ledgerTopics, terms } from '../support/owner.ts'

let settings: Settings
let printed: string[]
let said: string[]

beforeEach(() => {
  vi.stubEnv('HAETAE_STATE', mkdtempSync(join(tmpdir(), 'haetae-holds-')))
  settings = readSettings()
  printed = []
  said = []
  vi.spyOn(console, 'log').mockImplementation(text => void printed.push(String(text)))
  vi.spyOn(console, 'error').mockImplementation(text => void said.push(String(text)))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

/** A log with these addresses held. */
async function held(addresses: readonly string[]): Promise<Topics> {
  const topics = await openTopics(settings, silentLog, createMetrics())
  for (const [name, compacted] of [
    ['decisions', false],
    ['holds', true],
    ['holds.state', true],
    ['audit', false],
  ] as const) {
    await topics.ensure(responseTopic(name, compacted))
  }
  const store = new LedgerStore(topics, ledgerTopics, () => Date.now())
  const ledger = await store.load()
  const nowMs = Date.now()
  const judge = {
    ledger,
    guard: new Guard([]),
    budget: new Budget({ minuteMax: 1e6, hourMax: 1e6, networkHourMax: 1e6 }),
    terms,
  }
  for (const address of addresses) {
    applyDecision(
      { ...judge, dryRun: true, nowMs, isNews: () => true },
      blockOf(address, nowMs, { reason: `of \u001b[31m${address}` }),
    )
  }
  const changes = ledger.take()
  if (changes) await store.save(changes, new AbortController().signal)
  return topics
}

describe('the ledger is read', () => {
  test('through the process that has the log, in parts, and from the log itself when none runs', async () => {
    const many = Array.from({ length: 6_000 }, (_, n) => `20.0.${n >> 8}.${n & 255}`)
    const topics = await held(many)
    expect((await readHoldings(settings)).holds).toHaveLength(6_000)
    await topics.close()
    expect((await readHoldings(settings)).holds).toHaveLength(6_000)
  })

  test('as empty before any pipeline has made its topics', async () => {
    expect(await readHoldings(settings)).toEqual({ holds: [], states: [] })
    await expect(sendDecision(settings, blockOf('20.0.0.1', 0))).rejects.toThrow('start the pipeline block once')
  })
})

describe('haetae decisions', () => {
  test('list shows who is held as a table that is harmless for a terminal, and as JSON', async () => {
    const topics = await held(['20.0.0.1', '2a00::5'])
    expect(await main(['decisions', 'list'])).toBe(0)
    expect(printed.join('\n')).toContain('2a00::/64')
    expect(printed.join('\n')).toContain('\\x1b[31m')
    expect(printed.join('\n')).not.toContain('\u001b')
    printed = []
    expect(await main(['decisions', 'list', '-o', 'json'])).toBe(0)
    expect(JSON.parse(printed.join('\n'))).toMatchObject([{ target: '20.0.0.1', dry_run: true, in_waf: 'not yet' }, {}])
    await topics.close()
  })

  test('inspect finds a hold by its address, any address of its /64, and the beginning of its id', async () => {
    const topics = await held(['20.0.0.1', '2a00::5'])
    const [first] = (await readHoldings(settings)).holds
    for (const target of ['20.0.0.1', '2a00::77', first!.uid.slice(0, 8)]) {
      printed = []
      expect(await main(['decisions', 'inspect', target])).toBe(0)
      expect(printed.join('\n')).toContain('hold_created')
    }
    expect(await main(['decisions', 'inspect', '20.0.0.9'])).toBe(1)
    expect(said.at(-1)).toContain('there is no hold on 20.0.0.9')
    await topics.close()
  })

  test('delete names the network whose hold keeps an address out, as it lets go nothing of that by itself', async () => {
    const topics = await held(['20.0.0.0/24'])
    expect(await main(['decisions', 'delete', '20.0.0.7', '--reason', 'a customer'])).toBe(1)
    expect(said.at(-1)).toContain('what is held is 20.0.0.0/24: name that')
    await topics.close()
  })

  test.each([
    [['add', '20.0.0.1', '--reason', 'x'], '--ttl says for how long'],
    [['add', '20.0.0.1', '--ttl', '4h'], '--reason says why'],
    [['add', '20.0.0.1', '--ttl', '4', '--reason', 'x'], 'such as 30m, 4h or 7d'],
    [['add', '20.0.0', '--ttl', '4h', '--reason', 'x'], 'no address and no network'],
    [['add', '10.0.0.1', '--ttl', '4h', '--reason', 'x'], 'never blocked: reserved'],
    [['add', '20.0.0.0/8', '--ttl', '4h', '--reason', 'x'], 'never blocked: too_wide'],
    [['extend', '20.0.0.1', '--reason', 'x'], '--ttl says for how long from now'],
    [['delete'], 'need one target'],
    [['list', '20.0.0.1'], 'list, sets and resume stand alone'],
    [['forget'], 'the first argument is one of list'],
  ])('%o is refused with what to do', async (args, message) => {
    expect(await main(['decisions', ...args])).toBe(2)
    expect(said.join('\n')).toContain(message)
  })

  test('--dry-run shows the request and sends nothing', async () => {
    expect(
      await main(['decisions', 'add', '20.0.0.1', '--ttl', '4h', '--reason', 'x', '--by', 'kim', '--dry-run']),
    ).toBe(0)
    expect(JSON.parse(printed.join('\n'))).toMatchObject({
      type: 'block',
      who: 'kim',
      ttlMs: 14_400_000,
      target: { value: '20.0.0.1' },
    })
    expect(said).toEqual(['nothing was sent: --dry-run'])
  })
})

test('haetae ip tells the story of an address on one page, whatever is missing', async () => {
  const topics = await held(['20.0.0.1'])
  expect(await main(['ip', '20.0.0.1'])).toBe(0)
  const page = printed.join('\n')
  expect(page).toContain('held by 1 hold')
  expect(page).toContain('(dry run)')
  expect(page).toContain('hold_created')
  expect(page).toContain('none in the lake')
  expect(await main(['ip', 'nonsense'])).toBe(2)
  await topics.close()
})

test('haetae keys revoke sends a request for a long-lived key alone, with its reason', async () => {
  const topics = await held([])
  expect(await main(['keys', 'revoke', 'AKIAIOSFODNN7EXAMPLE', '--reason', 'in a public repository'])).toBe(0)
  expect(await main(['keys', 'revoke', 'ASIAIOSFODNN7EXAMPLE', '--reason', 'x'])).toBe(2)
  expect(await main(['keys', 'revoke', 'AKIAIOSFODNN7EXAMPLE'])).toBe(2)
  await topics.close()
})
