import type { Incident } from '../../platform/incident.ts'
import { NOON } from './alerts.ts'

/** An incident as it stands on its topic. */
export function incidentOf(given: Partial<Incident> = {}): Incident {
  return {
    uid: '0123456789abcdef0123456789abcdef',
    number: 2041,
    version: 1,
    time: NOON,
    state: 'open',
    kind: 'campaign',
    key: 'class:T1110',
    title: 'Credential stuffing',
    severity_id: 4,
    opened_time: NOON,
    updated_time: NOON,
    first_seen_time: NOON - 60_000,
    last_seen_time: NOON,
    count: 100,
    classes: ['T1110'],
    rules: [{ uid: 'r', title: 'Credential stuffing', count: 100 }],
    addresses: ['203.0.113.7', '2001:db8::1'],
    address_count: 2,
    targets: ['api.example.kr'],
    countries: [{ name: 'CN', count: 90 }],
    networks: [{ name: 'AS4134 Chinanet', count: 90 }],
    timeline: [],
    holds: { active: 2, total: 2, until: NOON + 3_600_000 },
    example: { method: 'POST', path: '/login', user_agent: 'python-requests/2.31', rule: 'RateLimit-Login' },
    merged: [],
    sample: false,
    ...given,
  }
}
