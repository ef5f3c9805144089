import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { indexTemplate } from '../../platform/ocsf/index-template.ts'
import { httpActivity } from '../../platform/ocsf/schema.ts'
import { opensearch } from '../../sinks/opensearch.ts'
import { type BulkDocument, type FakeOpenSearch, startFakeOpenSearch } from '../support/opensearch-server.ts'
import { DAY_MS, idOf, NOW_MS, never, openAgainst, record, records } from '../support/opensearch-sink.ts'

let server: FakeOpenSearch
beforeEach(async () => {
  server = await startFakeOpenSearch()
})
afterEach(() => server.close())

const open = (config: object = {}) => openAgainst(server.url, config)
const done = { retry: [], reject: [] }
const message = ({ json }: BulkDocument): string => (JSON.parse(json) as { message: string }).message

describe('configuration', () => {
  test('the example is a valid configuration that uses each key', () => {
    const given = parse(opensearch.example) as object
    expect(Object.keys(opensearch.config.parse(given)).sort()).toEqual(Object.keys(given).sort())
    expect(Object.keys(given).sort()).toEqual(Object.keys(opensearch.config.shape).sort())
  })

  test.each([
    ['credentials in the URL', { url: 'https://admin:secret@search.example' }],
    ['a literal password', { url: 'https://search.example', auth: { username: 'a', password: 'secret' } }],
    ['a scheme that is not HTTP', { url: 'ftp://search.example' }],
    ['an index that OpenSearch would not take', { url: 'https://search.example', index: 'Haetae' }],
    ['an index that covers others', { url: 'https://search.example', index: '*' }],
    ['an unknown key', { url: 'https://search.example', insecure: true }],
  ])('%s is refused', (_, config) => {
    const result = opensearch.config.safeParse(config)
    expect(result.success).toBe(false)
    expect(JSON.stringify(result.error)).not.toContain('secret')
  })
})

describe('writing', () => {
  test('a document is created in the index of its event day under the event id, in bytes as they were encoded', async () => {
    const { sink } = await open()
    const late = record({ message: 'before midnight' }, NOW_MS - DAY_MS / 2 - 1)
    const now = record({ message: 'now' })
    expect(await sink.write([late, now], never)).toEqual(done)
    expect(Object.fromEntries(server.documents)).toEqual({
      [`haetae-waf-2026.11.23/${idOf({ message: 'before midnight' })}`]: late.json.toString(),
      [`haetae-waf-2026.11.24/${idOf({ message: 'now' })}`]: now.json.toString(),
    })
    expect(server.bulks[0]!.contentLength).toBe(String(server.bulks[0]!.bytes))
    expect(server.bulks[0]!.url).toContain('filter_path=')
    await sink.close()
  })

  test('the same record a second time is already there: accepted, counted, not doubled', async () => {
    const { sink, metric } = await open()
    const batch = records(3)
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await sink.write([...batch, batch[0]!], never)).toEqual(done)
    expect(server.documents.size).toBe(3)
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="created"}')).toBe(3)
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="exists"}')).toBe(4)
  })

  test('calls that wait together travel in one request, and a drain sends them at once', async () => {
    const { sink } = await open({ waitMs: 5_000 })
    const writes = [sink.write(records(2), never), sink.write(records(3, 2), never)]
    expect(server.bulks).toHaveLength(0)
    sink.drain!()
    expect(await Promise.all(writes)).toEqual([done, done])
    expect(server.bulks.map(({ documents }) => documents.length)).toEqual([5])
  })

  test('the verdict of a shared request comes back in the positions of each call', async () => {
    const { sink } = await open({ waitMs: 5_000 })
    server.item = document =>
      message(document) === 'record 3' ? { status: 400, type: 'mapper_parsing_exception' } : undefined
    const writes = [sink.write(records(2), never), sink.write(records(3, 2), never)]
    sink.drain!()
    expect(await Promise.all(writes)).toEqual([
      done,
      { retry: [], reject: [{ index: 1, reason: 'opensearch_400: mapper_parsing_exception: because' }] },
    ])
  })

  test('no request holds more documents or bytes than configured', async () => {
    const { sink } = await open({ documentsMax: 7, bytesMax: 65_536 })
    const batch = [
      ...records(20),
      ...Array.from({ length: 6 }, (_, at) => record({ message: `${at}${'x'.repeat(30_000)}` })),
    ]
    expect(await sink.write(batch, never)).toEqual(done)
    expect(server.documents.size).toBe(26)
    for (const { bytes, documents } of server.bulks) {
      expect(bytes).toBeLessThanOrEqual(65_536)
      expect(documents.length).toBeLessThanOrEqual(7)
    }
  })

  test('requests run beside each other up to requestsMax and never more', async () => {
    const { sink } = await open({ documentsMax: 1, requestsMax: 3 })
    await sink.write(records(36), never) // The number adapts upwards first.
    let release = (): void => undefined
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    server.bulk = () => ({ until: held })
    const write = sink.write(records(12, 36), never)
    await vi.waitUntil(() => server.atOnce.now === 3)
    release()
    await write
    expect(server.documents.size).toBe(48)
    expect(server.atOnce.most).toBe(3)
  })
})

describe('events that no index takes', () => {
  test('one older than the retention is left to the lake and counted', async () => {
    const { sink, metric } = await open({ retentionDays: 30 })
    const batch = [record({ a: 1 }, NOW_MS - 30 * DAY_MS - 1), record({ a: 2 }, NOW_MS - 30 * DAY_MS)]
    expect(await sink.write(batch, never)).toEqual(done)
    expect([...server.documents.keys()]).toEqual([`haetae-waf-2026.10.25/${idOf({ a: 2 })}`])
    expect(await metric('haetae_opensearch_too_old_total{pipeline="test"}')).toBe(1)
  })

  test('a time without a day, and a document that would break out of its line, are rejected alone', async () => {
    const { sink } = await open()
    const inOne = record({ a: 3 })
    const twoLines = { ...inOne, json: Buffer.from('{}\n{"delete":{"_index":"x"}}') }
    const batch = [record({ a: 1 }, Number.NaN), record({ a: 2 }), twoLines, { ...inOne, json: Buffer.alloc(0) }]
    expect(await sink.write(batch, never)).toEqual({
      retry: [],
      reject: [
        { index: 0, reason: 'time_out_of_range: NaN' },
        { index: 2, reason: 'not_one_line' },
        { index: 3, reason: 'not_one_line' },
      ],
    })
    expect([...server.documents.keys()]).toEqual([`haetae-waf-2026.11.24/${idOf({ a: 2 })}`])
  })

  test('a batch of nothing but such events makes no request', async () => {
    const { sink } = await open()
    await sink.write([record({ a: 1 }, 0)], never)
    expect(server.bulks).toHaveLength(0)
  })
})

describe('the index template', () => {
  const expected = indexTemplate(httpActivity, { index: 'haetae-waf', shards: 1, replicasMax: 1 })

  test('is installed at open when there is none', async () => {
    await open()
    expect(server.templates.get('haetae-waf')).toEqual(JSON.parse(JSON.stringify(expected)))
    expect(server.mappings.size).toBe(0)
  })

  test('stays as it is when it is the same, also where somebody tuned it', async () => {
    const tuned = { ...expected, template: { ...expected.template, settings: { index: { number_of_shards: 9 } } } }
    server.templates.set('haetae-waf', tuned)
    await open()
    expect(server.templates.get('haetae-waf')).toBe(tuned)
  })

  test('of an older version is replaced, and the index of today gets the new fields', async () => {
    server.templates.set('haetae-waf', { ...expected, version: 0, _meta: { fingerprint: 'old' } })
    await open()
    expect(server.templates.get('haetae-waf')).toMatchObject({ _meta: { fingerprint: expected._meta.fingerprint } })
    expect(server.mappings.get('haetae-waf-2026.11.24')).toEqual(expected.template.mappings)
  })

  test('of a newer version stays, and that is said', async () => {
    const newer = { ...expected, version: 99, _meta: { fingerprint: 'newer' } }
    server.templates.set('haetae-waf', newer)
    const { lines } = await open()
    expect(server.templates.get('haetae-waf')).toBe(newer)
    expect(lines).toMatchObject([{ level: 'warn', fields: { version: 99 } }])
  })

  test('is neither put nor looked at with templates: unmanaged', async () => {
    server.everything = { status: 403, body: {} }
    await open({ templates: 'unmanaged' })
    expect(server.templates.size).toBe(0)
  })

  test('with templates: by-command is waited for, and the message says which command makes it', async () => {
    const opening = open({ templates: 'by-command' })
    await expect(opening).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED' })
    await expect(opening).rejects.toThrow(/no index template haetae-waf.*haetae opensearch apply/)
    expect(server.templates.size).toBe(0)
    server.templates.set('haetae-waf', expected)
    const { lines } = await open({ templates: 'by-command' })
    expect(lines).toEqual([])
  })

  test('with templates: by-command an older or newer one is said, left alone and written under', async () => {
    for (const version of [0, 99]) {
      const other = { ...expected, version, _meta: { fingerprint: 'other' } }
      server.templates.set('haetae-waf', other)
      const { sink, lines } = await open({ templates: 'by-command' })
      expect(lines).toMatchObject([{ level: 'warn', fields: { template: 'haetae-waf', version } }])
      expect(await sink.write(records(1, version), never)).toEqual(done)
      expect(server.templates.get('haetae-waf')).toBe(other)
      await sink.close()
    }
  })

  test.each([
    [403, 'SINK_UNAUTHORISED'],
    [401, 'SINK_UNAUTHORISED'],
    [400, 'SINK_MISCONFIGURED'],
  ])('answered with %d ends the start with %s', async (status, code) => {
    server.everything = { status, body: { error: { type: 'security_exception', reason: 'no permissions' } } }
    await expect(open()).rejects.toMatchObject({ code, message: expect.stringContaining('no permissions') })
  })

  test.each([429, 503])('answered with %d is a reason to wait, not to give up', async status => {
    server.everything = { status, body: 'busy' }
    await expect(open()).rejects.toSatisfy(error => error instanceof Error && !('code' in error))
  })
})
