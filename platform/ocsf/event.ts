/**
 * OCSF 1.8.0 events as components read them: HTTP Activity (4002) and the parts of Detection Finding (2004) they share.
 * Field names and meaning: https://schema.ocsf.io/1.8.0/classes/http_activity. Only what Haetae fills is listed; `null` is
 * never a value, an absent field is left out.
 */
export type Json = string | number | boolean | null | Json[] | JsonObject
export interface JsonObject {
  [key: string]: Json
}

export interface OcsfEvent {
  activity_id?: number
  activity_name?: string
  category_uid?: number
  category_name?: string
  class_uid?: number
  class_name?: string
  type_uid?: number
  type_name?: string
  severity_id?: number
  severity?: string
  /** Milliseconds since the epoch. */
  time?: number
  message?: string
  status_id?: number
  status?: string
  /** security_control profile. The verdict, only ever from the record's top-level action. */
  action_id?: number
  action?: string
  disposition_id?: number
  disposition?: string
  firewall_rule?: FirewallRule
  /** cloud profile. */
  cloud?: Cloud
  metadata?: Metadata
  src_endpoint?: NetworkEndpoint
  dst_endpoint?: NetworkEndpoint
  http_request?: HttpRequest
  http_response?: { code: number }
  ja4_fingerprint_list?: Ja4Fingerprint[]
  tls?: Tls
  observables?: Observable[]
  /** Everything of the record that OCSF has no place for, under the record's own names. */
  unmapped?: JsonObject
  /** Detection Finding. */
  finding_info?: JsonObject
  evidences?: JsonObject[]
  resources?: JsonObject[]
  attacks?: JsonObject[]
  remediation?: JsonObject
  device?: JsonObject
  count?: number
  is_alert?: boolean
}

export interface Cloud {
  provider: string
  region?: string
  account?: { uid: string; type_id?: number; type?: string }
}

export interface Metadata {
  version: string
  profiles?: string[]
  log_name?: string
  log_version?: string
  original_time?: string
  /** Event.id: the hash of the record's bytes. */
  uid?: string
  labels?: string[]
  /** When it was taken in, milliseconds since the epoch. */
  logged_time?: number
  product: {
    name: string
    vendor_name: string
    version?: string
    feature?: { name?: string; uid?: string }
  }
}

export interface NetworkEndpoint {
  ip?: string
  hostname?: string
  svc_name?: string
  uid?: string
  /** 99 for what the OCSF list does not know; then `network_scope` says it: `private`, `loopback`, `documentation` … */
  network_scope_id?: number
  network_scope?: string
  location?: Location
  autonomous_system?: AutonomousSystem
}

/** Shared between events (one object per GeoIP data record): replace it, never change it in place. */
export interface Location {
  /** ISO 3166-1 alpha-2. */
  readonly country?: string
  readonly region?: string
  readonly city?: string
  readonly continent?: string
  readonly postal_code?: string
  readonly lat?: number
  readonly long?: number
  /** Ours, not OCSF's: what OpenSearch can map as geo_point. */
  readonly geo?: { readonly lat: number; readonly lon: number }
}

export interface AutonomousSystem {
  readonly number: number
  readonly name?: string
}

export interface HttpRequest {
  http_method?: string
  version?: string
  uid?: string
  url?: Url
  args?: string
  user_agent?: string
  referrer?: string
  x_forwarded_for?: string[]
  body_length?: number
  http_headers?: HttpHeader[]
}

export interface Url {
  scheme?: string
  hostname?: string
  path?: string
  query_string?: string
  url_string?: string
}

export interface HttpHeader {
  name: string
  value: string
}

export interface FirewallRule {
  uid?: string
  name?: string
  type?: string
  condition?: string
  match_location?: string
  match_details?: string[]
  sensitivity?: string
  rate_limit?: number
}

interface Ja4Fingerprint {
  type_id: number
  type?: string
  value: string
}

interface Tls {
  version: string
  ja3_hash?: { algorithm_id: number; algorithm?: string; value: string }
}

export interface Observable {
  name?: string
  type_id: number
  type?: string
  value?: string
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
