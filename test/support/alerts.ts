import { hash } from 'node:crypto'
import type { Encoded } from '../../engine/contract.ts'
import { RecordEvent } from '../../engine/event.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { encodedOf } from './deps.ts'

export const NOON = Date.UTC(2026, 10, 24, 3)

export interface AlertGiven {
  readonly uid?: string
  readonly timeMs?: number
  readonly address?: string
  readonly technique?: string
  readonly rule?: string
  readonly title?: string
  readonly severity?: number
  readonly host?: string
  readonly path?: string
  readonly userAgent?: string
  readonly sample?: boolean
}

/** An id as alerts have them. */
export function uidOf(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 32)
}

let count = 0

/** An alert as it stands on the topic `alerts`. */
export function alertBody(given: AlertGiven = {}): OcsfEvent {
  const { timeMs = NOON, address = '203.0.113.7', technique = 'T1110', severity = 4, host = 'api.example.kr' } = given
  const { uid = uidOf(`alert ${count++}`), rule = `rule-${technique}`, title = `Title of ${rule}` } = given
  return {
    class_uid: 2004,
    time: timeMs,
    severity_id: severity,
    metadata: {
      version: '1.8.0',
      uid,
      labels: [`attack.${technique.toLowerCase()}`],
      product: { name: 'Haetae', vendor_name: 'Haetae' },
    },
    finding_info: {
      uid,
      title,
      analytic: { uid: rule, name: title },
      attacks: [{ technique: { uid: technique } }],
    } as JsonObject,
    evidences: [
      {
        src_endpoint: {
          ip: address,
          location: { country: 'CN' },
          autonomous_system: { number: 4134, name: 'Chinanet' },
        },
        http_request: {
          http_method: 'POST',
          user_agent: given.userAgent ?? 'python-requests/2.31',
          url: { hostname: host, path: given.path ?? '/login' },
        },
        data: { rule: 'RateLimit-Login' },
      },
    ],
    remediation: { desc: 'Look at who it is.' },
    unmapped: {
      haetae: {
        actor: { type: 'address', value: address },
        respond: { block: true },
        replayed: false,
        sample: given.sample ?? false,
      },
    },
  }
}

/** As the pipeline `respond` hands records to its sinks. */
export function recordOf(body: object, kind: 'alert' | 'audit' | 'incident', receivedMs = NOON): Encoded {
  const event = new RecordEvent(kind, Buffer.from(JSON.stringify(body)), receivedMs)
  event.body = body
  return encodedOf(event)
}

export function auditBody(what: string, given: Readonly<Record<string, unknown>> = {}): object {
  return { metadata: { uid: uidOf(`audit ${count++}`), version: '1' }, time: NOON, what, ...given }
}
