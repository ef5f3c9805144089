import { expect, test } from 'vitest'
import { indexTemplate } from '../../../platform/ocsf/index-template.ts'
import { type Fields, httpActivity } from '../../../platform/ocsf/schema.ts'

const options = { index: 'haetae-waf', shards: 1, replicasMax: 1 }

interface Mapping {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Mapping>>
  readonly [option: string]: unknown
}

function leaves(properties: Readonly<Record<string, Mapping>>, path = ''): [string, Mapping][] {
  return Object.entries(properties).flatMap(([name, mapping]): [string, Mapping][] =>
    mapping.properties ? leaves(mapping.properties, `${path}${name}.`) : [[path + name, mapping]],
  )
}

/** The schema's own leaves, walked apart from the generator. */
function schemaLeaves(fields: Fields, path = ''): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const inner = typeof field !== 'string' && 'list' in field ? field.list : field
    return typeof inner === 'string' ? [path + name] : schemaLeaves(inner.object, `${path}${name}.`)
  })
}

const generated = indexTemplate(httpActivity, options)
const mappings = generated.template.mappings as unknown as { dynamic: unknown; properties: Record<string, Mapping> }
const byPath = new Map(leaves(mappings.properties))

test('the checked-in template is what the schema gives today (vitest -u writes it)', async () => {
  await expect(`${JSON.stringify(generated, undefined, 2)}\n`).toMatchFileSnapshot(
    '../../../sinks/opensearch.template.json',
  )
})

test('every field of the schema has a type and no field is made from data', () => {
  expect([...byPath.keys()].sort()).toEqual(schemaLeaves(httpActivity).sort())
  expect([...byPath.values()].filter(mapping => typeof mapping.type !== 'string')).toEqual([])
  expect(mappings.dynamic).toBe(false)
  expect(JSON.stringify(mappings.properties)).not.toContain('"dynamic"')
})

test('no string that an attacker writes is indexed longer than Lucene takes terms', () => {
  for (const [path, mapping] of byPath) {
    if (mapping.type === 'keyword') expect(Number(mapping['ignore_above']), path).toBeLessThanOrEqual(8191)
  }
})

test.each([
  ['time', 'date'],
  ['src_endpoint.ip', 'ip'],
  ['src_endpoint.location.geo', 'geo_point'],
  ['src_endpoint.autonomous_system.number', 'long'],
  ['http_request.url.path', 'keyword'],
  ['http_request.http_headers.value', 'keyword'],
  ['metadata.labels', 'keyword'],
  ['http_response.code', 'integer'],
  ['unmapped', 'flat_object'],
])('%s is searched as %s', (path, type) => {
  expect(byPath.get(path)?.type).toBe(type)
})

test('a malformed address or place costs that field, not the document', () => {
  expect(byPath.get('src_endpoint.ip')).toMatchObject({ ignore_malformed: true })
  expect(byPath.get('src_endpoint.location.geo')).toMatchObject({ ignore_malformed: true })
})

test('the settings keep what was acknowledged and make it searchable within ten seconds', () => {
  expect(generated.template.settings).toMatchObject({
    index: { translog: { durability: 'request' }, refresh_interval: '5s', auto_expand_replicas: '0-1' },
  })
  expect(generated.index_patterns).toEqual(['haetae-waf-*'])
})

test('any change of content changes the fingerprint, and nothing else does', () => {
  const print = (fields: Fields, changed: Partial<typeof options> = {}) =>
    indexTemplate(fields, { ...options, ...changed })._meta.fingerprint
  expect(print(httpActivity)).toBe(generated._meta.fingerprint)
  expect(print({ ...httpActivity, extra: 'keyword' })).not.toBe(generated._meta.fingerprint)
  expect(print(httpActivity, { shards: 2 })).not.toBe(generated._meta.fingerprint)
  expect(print(httpActivity, { index: 'other' })).not.toBe(generated._meta.fingerprint)
})
