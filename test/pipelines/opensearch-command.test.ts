import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { indexTemplate } from '../../platform/ocsf/index-template.ts'
import { httpActivity } from '../../platform/ocsf/schema.ts'
import { type Ran, runCommand } from '../support/command.ts'
import { type FakeOpenSearch, startFakeOpenSearch } from '../support/opensearch-server.ts'
import { temporary } from '../support/pipelines.ts'

const wanted = indexTemplate(httpActivity, { index: 'haetae-waf', shards: 1, replicasMax: 1 })

let server: FakeOpenSearch
beforeEach(async () => {
  server = await startFakeOpenSearch()
  vi.unstubAllEnvs()
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
  vi.stubEnv('OPENSEARCH_URL', server.url)
  for (const name of ['OPENSEARCH_USERNAME', 'OPENSEARCH_CA_FILE']) vi.stubEnv(name, '')
})
afterEach(() => server.close())

interface Row {
  readonly template: string
  readonly action: string
  readonly what: string
  readonly cluster: string
  readonly wanted: string
}

const run = (...args: readonly string[]): Promise<Ran> => runCommand('opensearch', ...args)

/** Of the template of WAF events, or of the only one. */
async function rows(...args: readonly string[]): Promise<readonly Row[]> {
  const { code, out } = await run(...args, '-o', 'json')
  expect(code).toBe(0)
  return (JSON.parse(out) as Row[]).filter(
    ({ template }) => !/^haetae-(alerts|findings|incidents|response)$/.test(template),
  )
}

/** As OpenSearch gives a template back: every value of the settings as text, `dynamic` too. */
function asGivenBack(template: typeof wanted): unknown {
  const text = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, text(inner)]))
      : String(value)
  const { settings, mappings } = template.template
  return { ...template, template: { settings: text(settings), mappings: { ...mappings, dynamic: 'false' } } }
}

test('every pipeline that is set up to write to OpenSearch has its template', async () => {
  const { out } = await run('plan', '-o', 'json')
  expect((JSON.parse(out) as Row[]).map(({ template, action }) => [template, action])).toEqual([
    ['haetae-alerts', 'create'],
    ['haetae-response', 'create'],
    ['haetae-findings', 'create'],
    ['haetae-incidents', 'create'],
    ['haetae-waf', 'create'],
  ])
})

describe('opensearch plan', () => {
  test('says that a template is missing, and puts nothing', async () => {
    expect(await rows('plan')).toEqual([
      { template: 'haetae-waf', action: 'create', what: '', cluster: '', wanted: '' },
    ])
    expect(server.templates.size).toBe(0)
  })

  test('finds nothing to do in what the cluster gives back of the same template', async () => {
    server.templates.set('haetae-waf', asGivenBack(wanted))
    expect(await rows('plan')).toMatchObject([{ action: 'none', what: '' }])
  })

  test('names each setting and field that differs, with both values', async () => {
    const { time: _, ...properties } = wanted.template.mappings['properties'] as Record<string, object>
    server.templates.set('haetae-waf', {
      ...wanted,
      version: 0,
      _meta: { managed_by: 'haetae', fingerprint: 'old' },
      template: {
        settings: { index: { ...(wanted.template.settings['index'] as object), number_of_shards: '3' } },
        mappings: { dynamic: 'false', properties: { ...properties, gone: { type: 'keyword' } } },
      },
    })
    const at = { template: 'haetae-waf', action: 'update' }
    expect(await rows('plan')).toEqual([
      { ...at, what: 'mappings.properties.gone.type', cluster: 'keyword', wanted: '' },
      { ...at, what: 'mappings.properties.time.format', cluster: '', wanted: 'epoch_millis' },
      { ...at, what: 'mappings.properties.time.type', cluster: '', wanted: 'date' },
      { ...at, what: 'settings.index.number_of_shards', cluster: '3', wanted: '1' },
      { ...at, what: 'version', cluster: '0', wanted: '1' },
    ])
    expect(server.templates.get('haetae-waf')).toMatchObject({ version: 0 })
  })

  test('in a table shows the first differences and how many more there are', async () => {
    server.templates.set('haetae-waf', { ...wanted, _meta: { fingerprint: 'old' }, template: {} })
    const { out } = await run('plan')
    expect(out.split('\n').filter(line => line.startsWith('haetae-waf '))).toHaveLength(21)
    expect(out).toMatch(/^haetae-waf +update +and \d+ more: -o json shows all$/m)
  })
})

describe('opensearch apply', () => {
  test('puts what is missing; the next plan has nothing to do', async () => {
    expect(await rows('apply')).toMatchObject([{ action: 'create' }])
    expect(server.templates.get('haetae-waf')).toEqual(JSON.parse(JSON.stringify(wanted)))
    expect(await rows('plan')).toMatchObject([{ action: 'none' }])
  })

  test('replaces an older one, and the index of today gets its fields', async () => {
    server.templates.set('haetae-waf', { ...wanted, version: 0, _meta: { fingerprint: 'old' } })
    expect(await rows('apply')).toMatchObject([{ action: 'update', what: 'version' }])
    expect(server.templates.get('haetae-waf')).toMatchObject({ version: 1 })
    expect([...server.mappings.keys()]).toEqual([expect.stringMatching(/^haetae-waf-\d{4}\.\d\d\.\d\d$/)])
  })

  test.each([
    ['keep', 'of a newer version', { ...wanted, version: 99, _meta: { fingerprint: 'newer' } }],
    ['none', 'that somebody tuned', { ...wanted, priority: 600 }],
  ])('leaves one alone (%s) %s, and shows where it differs', async (action, _, present) => {
    server.templates.set('haetae-waf', present)
    expect(await rows('apply')).toMatchObject([{ action, wanted: expect.stringMatching(/^(1|500)$/) }])
    expect(server.templates.get('haetae-waf')).toBe(present)
  })

  test('says what was refused, and for what right to look', async () => {
    server.everything = { status: 403, body: { error: { type: 'security_exception', reason: 'no permissions' } } }
    const { code, err } = await run('apply')
    expect(code).toBe(1)
    expect(err).toMatch(/SINK_UNAUTHORISED: .*no permissions.*may manage index templates/)
  })
})

test('works on the sinks of the files that are named, also where the sink itself leaves templates alone', async () => {
  const file = join(temporary(), 'own.yaml')
  const sink = `{ type: opensearch, url: '${server.url}', index: shop, shards: 2, templates: unmanaged }`
  writeFileSync(
    file,
    `pipeline: own\nsource: { type: topic, topic: events.waf, kind: waf }\nstages: [{ type: parse-waf }]\nsinks: [${sink}]\n`,
  )
  expect(await rows('apply', file)).toMatchObject([{ template: 'shop', action: 'create' }])
  expect(server.templates.get('shop')).toMatchObject({ index_patterns: ['shop-*'] })
})

test.each([
  [['plan'], { OPENSEARCH_URL: '' }, /OPENSEARCH_URL is not set/],
  [['show'], {}, /opensearch plan or opensearch apply/],
  [[], {}, /opensearch plan or opensearch apply/],
])('%j with %j: exit code 2 and what is missing', async (args, env, message) => {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  const { code, err } = await run(...args)
  expect(code).toBe(2)
  expect(err).toMatch(message)
})

test('sinks whose templates somebody else sees to are left alone, unless their file is named', async () => {
  vi.stubEnv('OPENSEARCH_TEMPLATES', 'unmanaged')
  expect(await run('apply')).toMatchObject({
    code: 2,
    err: expect.stringContaining('OPENSEARCH_TEMPLATES is unmanaged'),
  })
  expect(server.templates.size).toBe(0)
  expect((await run('apply', 'pipelines/waf.yaml')).code).toBe(0)
  expect([...server.templates.keys()]).toEqual(['haetae-waf'])
})
