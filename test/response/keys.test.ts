import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { AuditRecord } from '../../platform/response/audit.ts'
import { keys } from '../../response/keys.ts'
import { encodedOf, eventOf, testDeps } from '../support/deps.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { blockOf } from '../support/owner.ts'

const KEY = 'AKIAIOSFODNN7EXAMPLE'
const DAY_MS = 24 * 3_600_000
const signal = new AbortController().signal
const closing: (() => void)[] = []
afterEach(() => {
  vi.unstubAllEnvs()
  for (const close of closing.splice(0)) close()
})

/** IAM's query protocol, as much of it as is needed. */
async function iam(answer: (action: string) => { readonly status: number; readonly xml: string }) {
  const asked: URLSearchParams[] = []
  const server = createServer((request, response) => {
    void text(request).then(body => {
      const given = new URLSearchParams(body)
      asked.push(given)
      const { status, xml } = answer(given.get('Action') ?? '')
      response.writeHead(status, { 'content-type': 'text/xml' }).end(xml)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  vi.stubEnv('AWS_ENDPOINT_URL_IAM', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  return asked
}
const found = (action: string) => ({
  status: 200,
  xml: `<${action}Response><${action}Result><UserName>deploy</UserName></${action}Result></${action}Response>`,
})
const failing = (code: string, status: number) => () => ({
  status,
  xml: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error></ErrorResponse>`,
})

async function asked(config: object, more: object = {}, value = KEY) {
  const topics = new MemoryTopics()
  const paused: (string | undefined)[] = []
  const deps = testDeps({ topics: () => Promise.resolve(topics), paused: (_, reason) => void paused.push(reason) })
  const sink = await keys.open(keys.config.parse(config), deps)
  const decision = blockOf('20.0.0.1', Date.now(), {
    type: 'disable_key',
    target: { type: 'access_key', value },
    ...more,
  })
  const event = eventOf('{}', 'decision')
  event.body = decision as never
  const verdict = await sink.write([encodedOf(event)], signal)
  await sink.close()
  const audits = topics.appended.flatMap(({ records }) =>
    records.map(each => JSON.parse(String(each.value)) as AuditRecord),
  )
  return { verdict, audits, paused, decision }
}

test('a leaked key of a user is set inactive in IAM, and that is told', async () => {
  const requests = await iam(found)
  const { verdict, audits } = await asked({ blocking: 'on' })
  expect(verdict).toEqual({ retry: [], reject: [] })
  expect(requests.map(each => Object.fromEntries(each))).toMatchObject([
    { Action: 'GetAccessKeyLastUsed', AccessKeyId: KEY },
    { Action: 'UpdateAccessKey', AccessKeyId: KEY, UserName: 'deploy', Status: 'Inactive' },
  ])
  expect(audits).toMatchObject([{ what: 'key_disabled', target: KEY, who: 'haetae', dry_run: false }])
})

describe('not disabled, and told why:', () => {
  test.each<[string, object, object, string]>([
    ['a key on the never-disable list', { neverDisable: [KEY] }, {}, 'never_disable'],
    ['a key of a user on it, as the evidence says', { neverDisable: ['deploy'] }, { user: 'deploy' }, 'never_disable'],
    ['a key of a user on it, as IAM says', { neverDisable: ['deploy'] }, { user: 'somebody' }, 'never_disable'],
    ['a request from the sample', {}, { sample: true }, 'sample'],
    ['a request sent again from the dead letter', {}, { replayed: true }, 'replayed'],
    ['a finding of last month', {}, { evidenceTimeMs: Date.now() - 30 * DAY_MS }, 'old_evidence'],
    [
      'a request of last week, read again from the start of the topic',
      {},
      { time: Date.now() - 7 * DAY_MS, evidenceTimeMs: Date.now() - 7 * DAY_MS },
      'old_evidence',
    ],
    [
      'a person’s request of last week',
      {},
      { source: 'cli', time: Date.now() - 7 * DAY_MS, evidenceTimeMs: undefined },
      'old_evidence',
    ],
  ])('%s', async (_, config, more, reason) => {
    const requests = await iam(found)
    const { audits } = await asked({ blocking: 'on', ...config }, more)
    expect(audits).toMatchObject([{ what: 'key_refused', skip_reason: reason }])
    expect(requests.filter(each => each.get('Action') === 'UpdateAccessKey')).toEqual([])
  })

  test('a temporary key', async () => {
    expect((await asked({}, {}, 'ASIAIOSFODNN7EXAMPLE')).audits).toMatchObject([{ skip_reason: 'bad_target' }])
  })

  test('a key that IAM does not know', async () => {
    await iam(failing('NoSuchEntity', 404))
    expect((await asked({ blocking: 'on' })).audits).toMatchObject([{ what: 'key_failed', skip_reason: 'no_such_key' }])
  })
})

test('in a dry run nobody is asked, and what would be done is told', async () => {
  const requests = await iam(found)
  expect((await asked({})).audits).toMatchObject([{ what: 'key_disabled', dry_run: true }])
  expect(requests).toEqual([])
})

test('refused rights pause and are tried again, and the request is not lost', async () => {
  await iam(failing('AccessDenied', 403))
  const { verdict, audits, paused } = await asked({ blocking: 'on' })
  expect(verdict).toMatchObject({ retry: [0], reject: [], retryAfterMs: 30_000 })
  expect(audits).toMatchObject([
    { what: 'key_failed', skip_reason: 'waiting', reason: expect.stringContaining('AccessDenied') },
  ])
  expect(paused.at(-1)).toContain('AccessDenied')
})

test('decisions about addresses pass by', async () => {
  const { verdict, audits } = await asked({}, { type: 'block' })
  expect({ verdict, audits }).toEqual({ verdict: { retry: [], reject: [] }, audits: [] })
})
