import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateWaf } from '../../bench/generate/waf.ts'
import type { Encoded, Event } from '../../engine/contract.ts'
import { type WriteContext, writeAll } from '../../engine/write.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { indexTemplate } from '../../platform/ocsf/index-template.ts'
import { type Field, type Fields, httpActivity, type Scalar } from '../../platform/ocsf/schema.ts'
import { changeTemplate } from '../../sinks/opensearch.ts'
import { encodedOf, eventOf, testDeps } from '../support/deps.ts'
import { DAY_MS, idOf, NOW_MS, never, openAgainst, record, records } from '../support/opensearch-sink.ts'
import { type RealOpenSearch, startOpenSearch } from './servers/opensearch.ts'

let server: RealOpenSearch
beforeAll(async () => {
  server = await startOpenSearch({ 'http.max_content_length': '2mb' })
})
afterAll(() => server?.stop())

const done = { retry: [], reject: [] }
const parts = { clock: systemClock, log: silentLog }
const PAUSE_MS = 30_000

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}),
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

/** How many documents match, after a refresh; every shard must have taken part. */
async function count(index: string, query: object = { match_all: {} }): Promise<number> {
  await call('POST', `/${index}/_refresh`)
  const answer = (await call('POST', `/${index}/_count`, { query })) as { count: number; _shards: { failed: number } }
  expect(answer._shards.failed).toBe(0)
  return answer.count
}

/** Each test has an index name of its own. */
const open = (index: string, config: object = {}) => openAgainst(server.url, { index, retentionDays: 3650, ...config })
const today = (index: string): string => `${index}-2026.11.24`

const samples: Readonly<Record<Scalar, unknown>> = {
  keyword: 'word',
  text: 'a longer text',
  ip: '2001:db8::1',
  integer: 7,
  long: 4_294_967_296,
  double: 37.5,
  boolean: true,
  time_ms: NOW_MS,
  geo_point: { lat: 37.56, lon: 126.99 },
  json: { some: { nested: 'thing' } },
}
const types: Readonly<Record<Scalar, string>> = {
  keyword: 'keyword',
  text: 'keyword',
  ip: 'ip',
  integer: 'integer',
  long: 'long',
  double: 'double',
  boolean: 'boolean',
  time_ms: 'date',
  geo_point: 'geo_point',
  json: 'flat_object',
}

function sampleOf(field: Field): unknown {
  if (typeof field === 'string') return samples[field]
  if ('list' in field) return [sampleOf(field.list)]
  return Object.fromEntries(Object.entries(field.object).map(([name, inner]) => [name, sampleOf(inner)]))
}

function leaves(fields: Fields, path = ''): [string, Scalar][] {
  return Object.entries(fields).flatMap(([name, field]): [string, Scalar][] => {
    const inner = typeof field === 'object' && 'list' in field ? field.list : field
    return typeof inner === 'string' ? [[path + name, inner]] : leaves(inner.object, `${path}${name}.`)
  })
}

/** Records as the generator makes them, through the parse stage. */
async function wafRecords(howMany: number, seed: number): Promise<Encoded[]> {
  const stage = await parseWaf.open({}, testDeps())
  const texts = [...generateWaf({ seed, count: howMany, startMs: NOW_MS - DAY_MS / 2, durationMs: DAY_MS / 4 })]
  const refused: string[] = []
  const events: Event[] = await stage.apply(
    texts.map(text => eventOf(text)),
    (_, reason) => void refused.push(reason),
  )
  expect(refused).toEqual([])
  return events.map(encodedOf)
}

describe('the index template', () => {
  test('is taken as it is, and every field of the schema has its type in the index made from it', async () => {
    const { sink } = await open('schema')
    const body = sampleOf({ object: httpActivity }) as object
    const event = eventOf(body)
    event.timeMs = NOW_MS
    event.body = body
    expect(await sink.write([encodedOf(event)], never)).toEqual(done)

    const stored = (await call('GET', '/_index_template/schema')) as {
      index_templates: [{ index_template: object }]
    }
    const generated = indexTemplate(httpActivity, { index: 'schema', shards: 1, replicasMax: 1 })
    const { template, ...rest } = generated
    expect(stored.index_templates[0].index_template).toMatchObject({
      ...rest,
      template: { mappings: template.mappings },
    })

    const caps = (await call('GET', `/${today('schema')}/_field_caps?fields=*`)) as {
      fields: Record<string, Record<string, { searchable: boolean; aggregatable: boolean }>>
    }
    const expected = leaves(httpActivity)
    expect(expected.length).toBeGreaterThan(80)
    for (const [path, scalar] of expected) {
      expect(Object.keys(caps.fields[path] ?? {}), path).toEqual([types[scalar]])
      expect(caps.fields[path]![types[scalar]], path).toMatchObject({ searchable: true })
    }
    const settings = (await call('GET', `/${today('schema')}/_settings?flat_settings=true`)) as Record<
      string,
      { settings: Record<string, string> }
    >
    expect(settings[today('schema')]!.settings).toMatchObject({
      'index.refresh_interval': '5s',
      'index.translog.durability': 'request',
      'index.codec': 'best_compression',
      'index.number_of_replicas': '0',
    })
    await sink.close()
  })

  test('of an earlier version is replaced, and the index of today gets the fields it lacked', async () => {
    const old = indexTemplate({ time: 'time_ms' }, { index: 'older', shards: 1, replicasMax: 1 })
    await call('PUT', '/_index_template/older', { ...old, version: 0 })
    await call('PUT', `/${today('older')}`)
    const { sink, lines } = await open('older')
    expect(lines.filter(({ level }) => level === 'warn')).toEqual([])
    const answer = (await call('GET', `/${today('older')}/_mapping/field/src_endpoint.ip`)) as object
    expect(JSON.stringify(answer)).toContain('"type":"ip"')
    await sink.close()
  })

  test('put by command is what the next plan finds, also as the server gives it back; without it the sink waits', async () => {
    const config = { url: server.url, index: 'command', templates: 'by-command' }
    await expect(open('command', { templates: 'by-command' })).rejects.toThrow('haetae opensearch apply')
    const create = { template: 'command', action: 'create', differences: [] }
    expect(await changeTemplate(config, false, parts)).toEqual(create)
    expect(await changeTemplate(config, true, parts)).toMatchObject({ action: 'create' })
    expect(await changeTemplate(config, false, parts)).toEqual({ template: 'command', action: 'none', differences: [] })
    const { sink } = await open('command', { templates: 'by-command' })
    expect(await sink.write(records(3), never)).toEqual(done)
    expect(await count('command-*')).toBe(3)
    await sink.close()
  })

  test('of other settings is shown with both values, and replaced by command', async () => {
    const config = { url: server.url, index: 'resized' }
    await changeTemplate(config, true, parts)
    const differences = [{ path: 'settings.index.number_of_shards', present: '1', wanted: '3' }]
    const wanted = { ...config, shards: 3 }
    expect(await changeTemplate(wanted, true, parts)).toEqual({ template: 'resized', action: 'update', differences })
    expect(await changeTemplate(wanted, false, parts)).toMatchObject({ action: 'none', differences: [] })
  })

  test('that another one of the same priority stands in the way of is a matter of configuration', async () => {
    await call('PUT', '/_index_template/rival', { index_patterns: ['taken-*'], priority: 500 })
    await expect(open('taken')).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED', message: /same priority/ })
  })
})

describe('documents', () => {
  test('5,000 WAF events are created once; the same again are all there already', async () => {
    const { sink, metric } = await open('waf', { bytesMax: 2_000_000 })
    const batch = await wafRecords(5_000, 1)
    expect(batch).toHaveLength(5_000)
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('waf-*')).toBe(5_000)
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('waf-*')).toBe(5_000)
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="created"}')).toBe(5_000)
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="exists"}')).toBe(5_000)
    await sink.close()
  })

  test('are found by address range, place, time, path and rule', async () => {
    const { sink } = await open('query')
    const at = (ip: string, geo: object, path: string) =>
      record({
        src_endpoint: { ip, location: { country: 'KR', geo } },
        http_request: { url: { path } },
        unmapped: { ruleGroupList: [{ ruleGroupId: 'group-7' }] },
      })
    const seoul = { lat: 37.56, lon: 126.99 }
    const batch = [
      at('192.0.2.7', seoul, '/a'),
      at('192.0.3.7', { lat: -33.9, lon: 151.2 }, '/b'),
      at('2001:db8::7', seoul, '/c'),
    ]
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('query-*', { term: { 'src_endpoint.ip': '192.0.2.0/24' } })).toBe(1)
    expect(await count('query-*', { term: { 'src_endpoint.ip': '2001:db8::/32' } })).toBe(1)
    expect(
      await count('query-*', {
        geo_distance: { distance: '100km', 'src_endpoint.location.geo': { lat: 37.5, lon: 127 } },
      }),
    ).toBe(2)
    expect(await count('query-*', { range: { time: { gte: NOW_MS, lte: NOW_MS } } })).toBe(3)
    expect(await count('query-*', { wildcard: { 'http_request.url.path': '/*' } })).toBe(3)
    expect(await count('query-*', { term: { 'unmapped.ruleGroupList.ruleGroupId': 'group-7' } })).toBe(3)
    await sink.close()
  })

  test('a mapping failure is rejected with its reason, its neighbours go through', async () => {
    const { sink } = await open('mapping')
    const batch = [
      record({ a: 1 }),
      record({ http_response: { code: 'teapot' } }),
      record({ http_request: { url: '/' } }),
      record({ a: 2 }),
    ]
    const verdict = await sink.write(batch, never)
    expect(verdict.retry).toEqual([])
    expect(verdict.reject.map(({ index }) => index)).toEqual([1, 2])
    expect(verdict.reject[0]!.reason).toMatch(/^opensearch_400: mapper_parsing_exception: .*http_response.code/)
    expect(await count('mapping-*')).toBe(2)
    await sink.close()
  })

  test('a malformed address or place leaves out that field and keeps the event', async () => {
    const { sink } = await open('malformed')
    const batch = [
      record({ src_endpoint: { ip: 'X.X.X.X' } }),
      record({ src_endpoint: { location: { geo: { lat: 'north', lon: 1 } } } }),
    ]
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('malformed-*', { term: { _ignored: 'src_endpoint.ip' } })).toBe(1)
    expect(await count('malformed-*')).toBe(2)
    await sink.close()
  })

  test('no string is too long to be stored, wherever it stands', async () => {
    const { sink, metric } = await open('long')
    const long = '한'.repeat(40_000)
    const batch = [
      record({ http_request: { args: long, http_headers: [{ name: long, value: long }] } }),
      record({ unmapped: { payload: long, list: [{ deep: long }] } }),
      record({ unmapped: { [long]: 'x' } }),
    ]
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('long-*')).toBe(3)
    expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="shortened"}')).toBe(2)
    await sink.close()
  })

  test('a request over the limit of the server is halved until it fits', async () => {
    const { sink, lines } = await open('large')
    const batch = Array.from({ length: 40 }, (_, at) => record({ message: `${at}${'x'.repeat(200_000)}` }))
    expect(await sink.write(batch, never)).toEqual(done)
    expect(await count('large-*')).toBe(40)
    expect(lines.some(({ message }) => message.includes('too large'))).toBe(true)
    await sink.close()
  })
})

describe('an index or cluster that takes nothing', () => {
  test.each<[string, (index: string) => Promise<unknown>]>([
    ['a write block', index => call('PUT', `/${index}/_settings`, { 'index.blocks.write': true })],
    ['being closed', index => call('POST', `/${index}/_close`)],
  ])('%s: an old index rejects, the index of today is waited for', async (name, shut) => {
    const index = `shut-${name.replaceAll(' ', '')}`
    const { sink } = await open(index)
    await sink.write([record({ a: 1 }), record({ a: 1 }, NOW_MS - DAY_MS)], never)
    for (const day of ['24', '23']) await shut(`${index}-2026.11.${day}`)
    expect(await sink.write([record({ a: 2 }), record({ a: 2 }, NOW_MS - DAY_MS)], never)).toEqual({
      retry: [0],
      reject: [
        { index: 1, reason: expect.stringMatching(/^opensearch_40[03]: (cluster_block|index_closed)_exception/) },
      ],
      retryAfterMs: PAUSE_MS,
    })
    await sink.close()
  })

  test('the block of a full disk is waited for without an end, also under an old index', async () => {
    const { sink } = await open('flood')
    await sink.write([record({ a: 1 }, NOW_MS - DAY_MS)], never)
    await call('PUT', '/flood-2026.11.23/_settings', { 'index.blocks.read_only_allow_delete': true })
    expect(await sink.write([record({ a: 2 }, NOW_MS - DAY_MS)], never)).toEqual({ retry: [0], reject: [] })
    await call('PUT', '/flood-2026.11.23/_settings', { 'index.blocks.read_only_allow_delete': null })
    expect(await sink.write([record({ a: 2 }, NOW_MS - DAY_MS)], never)).toEqual(done)
    await sink.close()
  })

  test.each<[string, object, object]>([
    ['the limit of shards', { 'cluster.max_shards_per_node': 1 }, { 'cluster.max_shards_per_node': null }],
    ['no automatic indices', { 'action.auto_create_index': 'false' }, { 'action.auto_create_index': null }],
  ])('%s keeps the documents until somebody mends it', async (name, breaks, mends) => {
    const { sink, lines } = await open(`setup-${name.replaceAll(' ', '')}`)
    await call('PUT', '/_cluster/settings', { transient: breaks })
    try {
      expect(await sink.write(records(2), never)).toEqual({ retry: [0, 1], reject: [], retryAfterMs: PAUSE_MS })
      expect(lines.at(-1)).toMatchObject({ level: 'error', fields: { code: 'SINK_MISCONFIGURED' } })
    } finally {
      await call('PUT', '/_cluster/settings', { transient: mends })
    }
    expect(await sink.write(records(2), never)).toEqual(done)
    await sink.close()
  })
})

test('a server that is killed while it is written to and comes back holds every acknowledged document once', async () => {
  const { sink, metric } = await openAgainst(
    server.url,
    { index: 'crash', retentionDays: 3650, documentsMax: 100 },
    { clock: systemClock },
  )
  const context: WriteContext = {
    name: 'opensearch',
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    backoff: { firstMs: 50, maxMs: 500 },
    signal: never,
    retries: { add: () => undefined },
    broken: () => undefined,
    deadLetter: rejected => Promise.reject(new Error(rejected[0]!.reason)),
  }
  const batches = Array.from({ length: 30 }, (_, at) => records(100, at * 100))
  let settled = 0
  const writes = batches.map(batch => writeAll(sink, batch, context).then(() => settled++))
  while (settled < 5) await new Promise(resolve => setTimeout(resolve, 5))
  await server.kill()
  expect(settled).toBeLessThan(batches.length)
  server = await server.restart()
  await Promise.all(writes)
  expect(await count('crash-*')).toBe(3_000)
  expect(
    await count('crash-*', { ids: { values: [idOf({ message: 'record 0' }), idOf({ message: 'record 2999' })] } }),
  ).toBe(2)
  expect(await metric('haetae_opensearch_documents_total{pipeline="test",result="retry"}')).toBeGreaterThan(0)
  await sink.close()
})
