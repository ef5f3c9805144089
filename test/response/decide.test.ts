import { describe, expect, test } from 'vitest'
import { type Decision, decisionSchema } from '../../platform/response/decision.ts'
import { decide } from '../../response/decide.ts'
import { encodedOf, eventOf, testDeps } from '../support/deps.ts'
import { MemoryTopics } from '../support/memory-topics.ts'

const TIME = Date.UTC(2026, 10, 24)

function alertOf(haetae: object, evidences: readonly object[] = [], uid = 'a'.repeat(32)) {
  const event = eventOf('{}', 'alert')
  event.body = {
    time: TIME,
    metadata: { uid, version: '1.8.0', logged_time: TIME + 500 },
    finding_info: { uid, title: 'Credential stuffing', analytic: { uid: 'rule-1' }, last_seen_time: TIME + 100 },
    evidences,
    unmapped: { haetae },
  } as never
  return encodedOf(event)
}

async function decided(...records: readonly ReturnType<typeof encodedOf>[]) {
  const topics = new MemoryTopics()
  const sink = await decide.open(decide.config.parse({}), testDeps({ topics: () => Promise.resolve(topics) }))
  const verdict = await sink.write(records, new AbortController().signal)
  const sent = topics.appended.flatMap(({ records: some }) =>
    some.map(({ value }) => decisionSchema.parse(JSON.parse(String(value)))),
  )
  return { topics, sink, verdict, sent }
}

const evidence = {
  src_endpoint: { ip: '20.0.0.1', autonomous_system: { number: 64500 } },
  data: { rule: 'Default_Action' },
}
const actor = { type: 'address', value: '20.0.0.1' }

test('an alert whose rule asks for it becomes a decision to block its actor, with its evidence', async () => {
  const { sent, topics } = await decided(alertOf({ actor, respond: { block: true, ttlMs: 1_000 } }, [evidence]))
  expect(sent).toMatchObject([
    {
      type: 'block',
      target: { type: 'address', value: '20.0.0.1' },
      ttlMs: 1_000,
      rule: 'rule-1',
      reason: 'Credential stuffing',
      alertUids: ['a'.repeat(32)],
      evidenceTimeMs: TIME + 100,
      receivedMs: TIME + 500,
      asn: 64500,
      ownBlock: false,
      who: 'haetae',
      source: 'detection',
    },
  ])
  expect(topics.ensured.get('decisions')).toMatchObject({ partitions: 1, compacted: false })
})

test('the same alert again gives the same decision: the ledger knows it', async () => {
  const record = alertOf({ actor, respond: { block: true } })
  const { sent } = await decided(record, record, alertOf({ actor, respond: { block: true } }, [], 'b'.repeat(32)))
  const [first, second, third] = sent.map(({ uid }: Decision) => uid)
  expect(first).toBe(second)
  expect(third).not.toBe(first)
})

describe('no decision:', () => {
  test.each<[string, object]>([
    ['a rule that does not ask for one', { actor, respond: { block: false } }],
    ['an alert without an actor', { respond: { block: true } }],
    ['an actor that no IP set takes', { actor: { type: 'ja4', value: 't13d' }, respond: { block: true } }],
    ['an address that is none', { actor: { type: 'address', value: '20.0.0' }, respond: { block: true } }],
  ])('%s', async (_, haetae) => {
    const { sent, verdict } = await decided(alertOf(haetae))
    expect(sent).toEqual([])
    expect(verdict).toMatchObject({ retry: [], reject: [] })
  })

  test('other records than alerts pass by, and what is no alert is rejected with the reason', async () => {
    const audit = encodedOf(eventOf('{}', 'audit'))
    const broken = encodedOf(eventOf('{}', 'alert'))
    const { verdict } = await decided(audit, broken)
    expect(verdict).toMatchObject({
      retry: [],
      reject: [{ index: 1, reason: expect.stringMatching(/^not_alert/) as string }],
    })
  })
})

test('requests that our own block stopped say so, and so do sample and replay', async () => {
  const blocked = { ...evidence, data: { rule: 'haetae-block' } }
  const haetae = { actor, respond: { block: true }, sample: true, replayed: true }
  const { sent } = await decided(
    alertOf(haetae, [blocked]),
    alertOf({ actor, respond: { block: true } }, [blocked, evidence]),
  )
  expect(sent).toMatchObject([
    { ownBlock: true, sample: true, replayed: true },
    { ownBlock: false, sample: false, replayed: false },
  ])
})

test('while the topic cannot be written, all of it is tried again', async () => {
  const topics = new MemoryTopics()
  const sink = await decide.open(decide.config.parse({}), testDeps({ topics: () => Promise.resolve(topics) }))
  topics.fate = () => 'lost'
  const records = [alertOf({ actor, respond: { block: true } })]
  expect(await sink.write(records, new AbortController().signal)).toMatchObject({ retry: [0], reject: [] })
  topics.fate = () => 'taken'
  expect(await sink.write(records, new AbortController().signal)).toMatchObject({ retry: [], reject: [] })
})

test('an access key that a rule wants disabled becomes a decision of its own', async () => {
  const { sent } = await decided(
    alertOf({
      actor: { type: 'access_key', value: 'AKIAIOSFODNN7EXAMPLE' },
      user: 'deploy',
      respond: { disable_key: true },
    }),
  )
  expect(sent).toMatchObject([
    { type: 'disable_key', target: { type: 'access_key', value: 'AKIAIOSFODNN7EXAMPLE' }, user: 'deploy' },
  ])
})
