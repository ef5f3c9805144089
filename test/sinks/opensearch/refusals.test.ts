import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type BulkDocument, error, type FakeOpenSearch, startFakeOpenSearch } from '../../support/opensearch-server.ts'
import { DAY_MS, idOf, NOW_MS, never, openAgainst, record, records } from '../../support/opensearch-sink.ts'

let server: FakeOpenSearch
beforeEach(async () => {
  server = await startFakeOpenSearch()
})
afterEach(() => server.close())

const open = (config: object = {}) => openAgainst(server.url, config)
const done = { retry: [], reject: [] }
const message = ({ json }: BulkDocument): string => (JSON.parse(json) as { message: string }).message
const PAUSE_MS = 30_000

describe('single documents', () => {
  test.each([429, 500, 503])('an item answered %d is tried again, its neighbours are done', async status => {
    const { sink } = await open()
    server.item = document =>
      message(document) === 'record 1' ? { status, type: 'rejected_execution_exception' } : undefined
    expect(await sink.write(records(3), never)).toEqual({ retry: [1], reject: [] })
    expect(server.documents.size).toBe(2)
  })

  test('a mapping failure is rejected with a bounded reason, its neighbours are done', async () => {
    const { sink } = await open()
    server.item = document =>
      message(document) === 'record 1'
        ? { status: 400, type: 'mapper_parsing_exception', reason: `failed to parse ${'x'.repeat(5_000)}` }
        : undefined
    const verdict = await sink.write(records(3), never)
    expect(verdict).toMatchObject({ retry: [], reject: [{ index: 1 }] })
    expect(verdict.reject[0]!.reason).toMatch(/^opensearch_400: mapper_parsing_exception: failed to parse x+$/)
    expect(verdict.reject[0]!.reason.length).toBe(300)
  })

  test('a string in unmapped that is too long for the index is cut and the document stored', async () => {
    const { sink, metric } = await open()
    const immense = 'Document contains at least one immense term in field="unmapped._value"'
    server.item = ({ json }) =>
      json.length > 20_000 ? { status: 400, type: 'illegal_argument_exception', reason: immense } : undefined
    const long = { message: 'long', unmapped: { payload: 'x'.repeat(40_000) } }
    expect(await sink.write([...records(1), record(long)], never)).toEqual(done)
    expect(server.documents.get(`haetae-waf-2026.11.24/${idOf(long)}`)).toContain('…[cut, 40000 characters]')
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="shortened"}')).toBe(1)
  })

  test('one in which nothing can be cut is rejected with what the server said', async () => {
    const { sink } = await open()
    const reason = 'failed to parse field [unmapped] of type [flat_object]'
    server.item = () => ({ status: 400, type: 'mapper_parsing_exception', reason })
    expect(await sink.write([record({ unmapped: 'text' })], never)).toEqual({
      retry: [],
      reject: [{ index: 0, reason: `opensearch_400: mapper_parsing_exception: ${reason}` }],
    })
    expect(server.bulks).toHaveLength(1)
  })

  test('one that stays too long after the cut is rejected, not sent for ever', async () => {
    const { sink } = await open()
    server.item = () => ({ status: 400, type: 'illegal_argument_exception', reason: 'immense term in field="x"' })
    const long = record({ unmapped: { payload: 'x'.repeat(40_000) } })
    const verdict = await sink.write([long, ...records(1)], never)
    expect(verdict.retry).toEqual([])
    expect(verdict.reject.map(({ index }) => index).sort((a, b) => a - b)).toEqual([0, 1])
    expect(server.bulks).toHaveLength(2)
  })

  test.each([
    [403, 'cluster_block_exception'],
    [400, 'index_closed_exception'],
  ])(
    'an old index that is shut (%d %s) rejects its documents; the same for today is tried again',
    async (status, type) => {
      const { sink, lines } = await open()
      server.item = () => ({ status, type, reason: 'blocked by: [FORBIDDEN/8/index write (api)]' })
      expect(await sink.write([record({ a: 1 }, NOW_MS - DAY_MS), record({ a: 2 })], never)).toEqual({
        retry: [1],
        reject: [{ index: 0, reason: `opensearch_${status}: ${type}: blocked by: [FORBIDDEN/8/index write (api)]` }],
        retryAfterMs: PAUSE_MS,
      })
      expect(lines.filter(({ level }) => level === 'error')).toMatchObject([{ fields: { code: 'SINK_MISCONFIGURED' } }])
    },
  )

  test('a disk past its flood stage is waited for, also under an old index', async () => {
    const { sink } = await open()
    server.item = () => ({ status: 429, type: 'cluster_block_exception', reason: 'flood-stage watermark' })
    expect(await sink.write([record({ a: 1 }, NOW_MS - DAY_MS)], never)).toEqual({ retry: [0], reject: [] })
  })

  test.each([
    [404, 'index_not_found_exception', 'no such index'],
    [400, 'validation_exception', 'this action would add [2] total shards'],
    [400, 'illegal_argument_exception', 'pipeline with id [nope] does not exist'],
    [400, 'invalid_index_name_exception', 'Invalid index name'],
  ])(
    'a fault of the set-up (%d %s) keeps the document, is said once and shown, and heals',
    async (status, type, reason) => {
      const { sink, clock, lines, metric } = await open()
      server.item = document => (message(document) === 'record 0' ? { status, type, reason } : undefined)
      for (let round = 0; round < 3; round++) {
        expect(await sink.write(records(2), never)).toEqual({ retry: [0], reject: [], retryAfterMs: PAUSE_MS })
      }
      expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1)
      expect(await metric('haetae_sink_paused')).toBe(1)
      server.item = () => undefined
      await clock.advance(2 * PAUSE_MS)
      expect(await sink.write(records(2), never)).toEqual(done)
      expect(lines.at(-1)).toMatchObject({ level: 'info' })
      expect(await metric('haetae_sink_paused')).toBe(0)
    },
  )

  test('a document without the right to be written counts as a matter of rights', async () => {
    const { sink, lines } = await open()
    server.item = () => ({ status: 403, type: 'security_exception', reason: 'no permissions' })
    expect(await sink.write(records(1), never)).toEqual({ retry: [0], reject: [], retryAfterMs: PAUSE_MS })
    expect(lines.at(-1)).toMatchObject({ level: 'error', fields: { code: 'SINK_UNAUTHORISED' } })
  })
})

describe('who asks how the process stands', () => {
  test.each([
    [401, /^SINK_UNAUTHORISED: opensearch_401: Unauthorized$/],
    [403, /^SINK_UNAUTHORISED: opensearch_403: Unauthorized$/],
  ])('is told why nothing is sent after a %d, and when it goes on', async (status, reason) => {
    const told: (string | undefined)[] = []
    const paused = (component: string, why: string | undefined): void => {
      expect(component).toBe('opensearch')
      told.push(why)
    }
    const { sink, clock } = await openAgainst(server.url, {}, { paused })
    server.bulk = () => ({ status, body: 'Unauthorized' })
    await sink.write(records(2), never)
    await sink.write(records(2), never)
    expect(told).toEqual([undefined, expect.stringMatching(reason)])
    server.bulk = () => undefined
    await clock.advance(PAUSE_MS)
    await sink.write(records(2), never)
    expect(told).toEqual([undefined, expect.stringMatching(reason), undefined])
  })

  test('is not told of a server that is away or busy: that heals without a person', async () => {
    const told: (string | undefined)[] = []
    const { sink } = await openAgainst(server.url, {}, { paused: (_, why) => void told.push(why) })
    server.bulk = () => ({ status: 503, body: 'busy' })
    for (let n = 0; n < 3; n++) await sink.write(records(1), never)
    expect(told.filter(why => why !== undefined)).toEqual([])
  })
})

describe('whole requests', () => {
  test.each([401, 403])(
    '%d pauses everything, says so once, lets one request try, and goes on by itself',
    async status => {
      const { sink, clock, lines, metric } = await open()
      server.bulk = () => ({ status, body: 'Unauthorized' })
      expect(await sink.write(records(2), never)).toEqual({ retry: [0, 1], reject: [], retryAfterMs: PAUSE_MS })
      await clock.advance(PAUSE_MS / 3)
      expect(await sink.write(records(2), never)).toEqual({
        retry: [0, 1],
        reject: [],
        retryAfterMs: (PAUSE_MS * 2) / 3,
      })
      expect(server.bulks).toHaveLength(1)
      expect(await metric('haetae_sink_paused')).toBe(1)

      await clock.advance(PAUSE_MS)
      const waiting = await Promise.all([sink.write(records(1), never), sink.write(records(1, 1), never)])
      expect(waiting.map(({ retryAfterMs }) => retryAfterMs)).toEqual([PAUSE_MS, PAUSE_MS])
      expect(server.bulks).toHaveLength(2)
      expect(lines.filter(({ level }) => level === 'error')).toMatchObject([{ fields: { code: 'SINK_UNAUTHORISED' } }])

      server.bulk = () => undefined
      await clock.advance(PAUSE_MS)
      expect(await sink.write(records(2), never)).toEqual(done)
      expect(lines.at(-1)).toMatchObject({ level: 'info' })
      expect(await metric('haetae_sink_paused')).toBe(0)
    },
  )

  test('the secret is read again after a 401, so a rotated one heals without a restart', async () => {
    const password = { env: 'TEST_OPENSEARCH_PASSWORD' }
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
    process.env['TEST_OPENSEARCH_PASSWORD'] = 'first'
    server.authorization = basic('haetae:first')
    const { sink, clock } = await open({ auth: { username: 'haetae', password } })
    expect(await sink.write(records(1), never)).toEqual(done)
    server.authorization = basic('haetae:second')
    process.env['TEST_OPENSEARCH_PASSWORD'] = 'second'
    expect(await sink.write(records(1, 1), never)).toMatchObject({ retry: [0] })
    await clock.advance(PAUSE_MS)
    expect(await sink.write(records(1, 1), never)).toEqual(done)
  })

  test('413 halves the request until it fits, rejects what never fits, and sends smaller ones from then on', async () => {
    const { sink, lines } = await open()
    server.bulk = ({ bytes }) => (bytes > 200_000 ? { status: 413, body: 'too large' } : undefined)
    const big = record({ message: 'x'.repeat(300_000) })
    const batch = [...Array.from({ length: 30 }, (_, at) => record({ message: `${at}${'y'.repeat(40_000)}` })), big]
    expect(await sink.write(batch, never)).toEqual({
      retry: [],
      reject: [{ index: 30, reason: 'opensearch_413: too large' }],
    })
    expect(server.documents.size).toBe(30)
    expect(lines.some(({ level, message: text }) => level === 'warn' && text.includes('bytesMax'))).toBe(true)
    const before = server.bulks.length
    await sink.write(
      Array.from({ length: 30 }, (_, at) => record({ message: `${at}${'z'.repeat(40_000)}` })),
      never,
    )
    expect(server.bulks.slice(before).filter(({ bytes }) => bytes > 200_000)).toEqual([])
  })

  test('400 finds the documents it was for and rejects only those', async () => {
    const { sink } = await open()
    const bad = ['record 3', 'record 40']
    server.bulk = ({ documents }) =>
      documents.some(document => bad.includes(message(document)))
        ? { status: 400, body: error('action_request_validation_exception', 'id is too long') }
        : undefined
    const reason = 'opensearch_400: action_request_validation_exception: id is too long'
    expect(await sink.write(records(64), never)).toEqual({
      retry: [],
      reject: [
        { index: 3, reason },
        { index: 40, reason },
      ],
    })
    expect(server.documents.size).toBe(62)
  })

  test('400 for everything is the set-up, not the documents: nothing is rejected, and the search ends early', async () => {
    const { sink, lines } = await open()
    server.bulk = () => ({ status: 400, body: error('illegal_argument_exception', 'this server takes no bulk') })
    const verdict = await sink.write(records(500), never)
    expect(verdict.reject).toEqual([])
    expect([...verdict.retry].sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, at) => at))
    expect(verdict.retryAfterMs).toBe(PAUSE_MS)
    expect(server.bulks.length).toBeLessThan(40)
    expect(lines.at(-1)).toMatchObject({ level: 'error', fields: { code: 'SINK_MISCONFIGURED' } })
  })

  test.each([
    [400, 'The plain HTTP request was sent to HTTPS port'],
    [404, 'Not Found'],
    [302, 'Found'],
  ])('%d from something that is not OpenSearch rejects nothing and pauses', async (status, body) => {
    const { sink } = await open()
    server.bulk = () => ({ status, body: `<html>${body}</html>` })
    expect(await sink.write(records(2), never)).toEqual({ retry: [0, 1], reject: [], retryAfterMs: PAUSE_MS })
  })
})
