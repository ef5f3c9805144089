import { hash } from 'node:crypto'
import type { JsonObject } from './event.ts'
import type { Field, Fields, Scalar } from './schema.ts'

export interface TemplateOptions {
  /** Index names are `<index>-YYYY.MM.DD`. */
  readonly index: string
  readonly shards: number
  readonly replicasMax: number
}

/** Composable index template: https://docs.opensearch.org/latest/im-plugin/index-templates/ */
export interface IndexTemplate {
  readonly index_patterns: readonly string[]
  readonly priority: number
  readonly version: number
  readonly _meta: { readonly managed_by: string; readonly fingerprint: string }
  readonly template: { readonly settings: JsonObject; readonly mappings: JsonObject }
}

/** Goes up when older programs must not put their template over a newer one. */
const TEMPLATE_VERSION = 1

/** In UTF-16 units. Lucene refuses a term over 32,766 bytes, and with it the whole document. */
export const TERM_LENGTH_MAX = 8191
const KEYWORD_LENGTH_MAX = 1024

/**
 * The template under which daily indices of a class are made. Longer strings than `ignore_above` are kept in the document
 * and not indexed. Replicas: as many as there are other nodes, up to `replicasMax`, so that one node is not yellow.
 */
export function indexTemplate(fields: Fields, { index, shards, replicasMax }: TemplateOptions): IndexTemplate {
  const settings = {
    index: {
      number_of_shards: shards,
      auto_expand_replicas: `0-${replicasMax}`,
      // Searchable within 10 s of arrival, batching included.
      refresh_interval: '5s',
      codec: 'best_compression',
      // Answered means on disk. With `async` a killed node loses what it acknowledged.
      translog: { durability: 'request' },
    },
  }
  // Nothing an attacker writes can add a field.
  const mappings = { dynamic: false, properties: properties(fields) }
  const patterns = [`${index}-*`]
  return {
    index_patterns: patterns,
    priority: 500,
    version: TEMPLATE_VERSION,
    _meta: {
      managed_by: 'haetae',
      fingerprint: hash('sha256', JSON.stringify({ patterns, settings, mappings })).slice(0, 16),
    },
    template: { settings, mappings },
  }
}

function properties(fields: Fields): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, mapping(field)]))
}

function mapping(field: Field): JsonObject {
  if (typeof field === 'string') return scalars[field]
  // OpenSearch has no list type: each field may hold several values.
  if ('list' in field) return mapping(field.list)
  return { properties: properties(field.object) }
}

/** `ignore_malformed`: the one field is left out (and named in `_ignored`), not the whole document refused. */
const scalars: Readonly<Record<Scalar, JsonObject>> = {
  keyword: { type: 'keyword', ignore_above: KEYWORD_LENGTH_MAX },
  text: { type: 'keyword', ignore_above: TERM_LENGTH_MAX },
  ip: { type: 'ip', ignore_malformed: true },
  integer: { type: 'integer' },
  long: { type: 'long' },
  double: { type: 'double' },
  boolean: { type: 'boolean' },
  time_ms: { type: 'date', format: 'epoch_millis' },
  geo_point: { type: 'geo_point', ignore_malformed: true },
  json: { type: 'flat_object' },
}
