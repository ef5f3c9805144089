import {
  classification,
  cloud,
  type Fields,
  httpRequest,
  list,
  location,
  metadata,
  object,
  observables,
} from './schema.ts'

/** What a finding holds of each end of a connection. `desc` is GuardDuty's name of the country. */
const endpoint = object({
  ip: 'ip',
  port: 'integer',
  hostname: 'text',
  domain: 'text',
  uid: 'keyword',
  instance_uid: 'keyword',
  svc_name: 'keyword',
  network_scope_id: 'integer',
  network_scope: 'keyword',
  location: object({ ...location, desc: 'keyword' }),
  autonomous_system: object({ number: 'long', name: 'keyword' }),
  isp: 'keyword',
  isp_org: 'keyword',
})

const user = object({ name: 'text', uid: 'keyword', groups: list(object({ name: 'keyword' })) })

const file = object({
  name: 'text',
  path: 'text',
  type_id: 'integer',
  type: 'keyword',
  hashes: list(object({ algorithm_id: 'integer', algorithm: 'keyword', value: 'keyword' })),
})

const parentProcess: Fields = { name: 'text', cmd_line: 'text', path: 'text', pid: 'long', uid: 'text' }

const process: Fields = { ...parentProcess, working_directory: 'text', user, file }

const evidence = object({
  uid: 'keyword',
  src_endpoint: endpoint,
  dst_endpoint: endpoint,
  connection_info: object({ direction_id: 'integer', direction: 'keyword', protocol_name: 'keyword' }),
  query: object({ hostname: 'text' }),
  api: object({
    operation: 'text',
    service: object({ name: 'keyword' }),
    response: object({ code: 'integer', error: 'text' }),
  }),
  http_request: object(httpRequest),
  actor: object({ user }),
  process: object({ ...process, parent_process: object(parentProcess) }),
  container: object({
    uid: 'keyword',
    name: 'text',
    image: object({ uid: 'text', name: 'text' }),
    runtime: 'keyword',
  }),
  file,
  data: 'json',
})

const resource = object({
  type: 'keyword',
  uid: 'text',
  name: 'text',
  namespace: 'keyword',
  region: 'keyword',
  zone: 'keyword',
  role_id: 'integer',
  role: 'keyword',
  ip: 'ip',
  hostname: 'text',
  owner: object({ name: 'text', uid: 'keyword', type: 'keyword' }),
  tags: list(object({ name: 'text', value: 'text' })),
  data: 'json',
})

const named = object({ uid: 'keyword', name: 'keyword' })

const findingInfo = object({
  uid: 'text',
  title: 'text',
  desc: 'text',
  types: list('keyword'),
  created_time: 'time_ms',
  modified_time: 'time_ms',
  first_seen_time: 'time_ms',
  last_seen_time: 'time_ms',
  analytic: object({ uid: 'keyword', name: 'keyword', type_id: 'integer', type: 'keyword' }),
  attacks: list(object({ tactic: named, technique: named, sub_technique: named })),
  data_sources: list('keyword'),
  related_events: list(object({ uid: 'keyword', type_uid: 'long' })),
})

/**
 * Detection Finding (2004): what parse-guardduty, parse-falco, geoip and redact leave behind, and the alerts of our own detections.
 * https://schema.ocsf.io/1.8.0/classes/detection_finding
 */
export const detectionFinding: Fields = {
  ...classification,
  message: 'text',
  is_alert: 'boolean',
  count: 'integer',
  metadata: object({ ...metadata, logged_time: 'time_ms' }),
  cloud,
  finding_info: findingInfo,
  evidences: list(evidence),
  resources: list(resource),
  device: object({ hostname: 'text', type_id: 'integer', type: 'keyword' }),
  remediation: object({ desc: 'text', references: list('text') }),
  observables,
  unmapped: 'json',
}
