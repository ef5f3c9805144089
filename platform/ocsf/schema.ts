/**
 * The columns of an event class, in one place: the Parquet columns of the lake, its Athena DDL and the OpenSearch index
 * template are generated from here, and a test holds that every field a parse stage can emit is listed.
 * HTTP Activity is here, with what all classes share; Detection Finding in finding-schema.ts.
 */
export type Scalar =
  | 'keyword' // short string, matched whole
  | 'text' // string an attacker chose the length of; matched whole, but only up to a bound in the index
  | 'ip'
  | 'integer'
  | 'long'
  | 'double'
  | 'boolean'
  | 'time_ms' // milliseconds since the epoch
  | 'geo_point' // { lat, lon }
  | 'json' // free object: one JSON string in the lake, flat_object in the index

interface ObjectField {
  readonly object: Fields
}
interface ListField {
  readonly list: Scalar | ObjectField
}
export type Field = Scalar | ObjectField | ListField
export interface Fields {
  readonly [name: string]: Field
}

export const object = (fields: Fields): ObjectField => ({ object: fields })
export const list = (item: Scalar | ObjectField): ListField => ({ list: item })

export const location: Fields = {
  country: 'keyword',
  region: 'keyword',
  city: 'keyword',
  continent: 'keyword',
  postal_code: 'keyword',
  lat: 'double',
  long: 'double',
  geo: 'geo_point',
}

export const classification: Fields = {
  time: 'time_ms',
  activity_id: 'integer',
  activity_name: 'keyword',
  category_uid: 'integer',
  category_name: 'keyword',
  class_uid: 'integer',
  class_name: 'keyword',
  type_uid: 'long',
  type_name: 'keyword',
  severity_id: 'integer',
  severity: 'keyword',
  status_id: 'integer',
  status: 'keyword',
}

const verdict: Fields = {
  action_id: 'integer',
  action: 'keyword',
  disposition_id: 'integer',
  disposition: 'keyword',
}

export const metadata: Fields = {
  version: 'keyword',
  profiles: list('keyword'),
  log_name: 'keyword',
  log_version: 'keyword',
  original_time: 'keyword',
  uid: 'keyword',
  labels: list('keyword'),
  product: object({
    name: 'keyword',
    vendor_name: 'keyword',
    version: 'keyword',
    feature: object({ name: 'keyword', uid: 'keyword' }),
  }),
}

export const cloud = object({
  provider: 'keyword',
  region: 'keyword',
  account: object({ uid: 'keyword', type_id: 'integer', type: 'keyword' }),
})

export const observables = list(object({ name: 'keyword', type_id: 'integer', type: 'keyword', value: 'keyword' }))

/** A request without its headers. */
export const httpRequest: Fields = {
  http_method: 'keyword',
  version: 'keyword',
  uid: 'text',
  url: object({
    scheme: 'keyword',
    hostname: 'text',
    path: 'text',
    query_string: 'text',
    url_string: 'text',
  }),
  args: 'text',
  user_agent: 'text',
  referrer: 'text',
  x_forwarded_for: list('text'),
  body_length: 'long',
}

/** HTTP Activity (4002): what parse-waf, geoip and redact leave behind. */
export const httpActivity: Fields = {
  ...classification,
  ...verdict,
  metadata: object(metadata),
  cloud,
  src_endpoint: object({
    ip: 'ip',
    network_scope_id: 'integer',
    network_scope: 'keyword',
    location: object(location),
    autonomous_system: object({ number: 'long', name: 'keyword' }),
  }),
  dst_endpoint: object({ svc_name: 'keyword', uid: 'keyword', hostname: 'text' }),
  http_request: object({ ...httpRequest, http_headers: list(object({ name: 'text', value: 'text' })) }),
  http_response: object({ code: 'integer' }),
  firewall_rule: object({
    uid: 'keyword',
    name: 'keyword',
    type: 'keyword',
    condition: 'keyword',
    match_location: 'keyword',
    match_details: list('text'),
    sensitivity: 'keyword',
    rate_limit: 'long',
  }),
  ja4_fingerprint_list: list(object({ type_id: 'integer', type: 'keyword', value: 'keyword' })),
  tls: object({
    version: 'keyword',
    ja3_hash: object({ algorithm_id: 'integer', algorithm: 'keyword', value: 'keyword' }),
  }),
  observables,
  unmapped: 'json',
}
