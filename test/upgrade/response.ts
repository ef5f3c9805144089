import { generateWaf } from '../../bench/generate/waf.ts'

/** Compacted topics in which something is remembered. */
export const KEPT_TOPICS = ['detect.state', 'holds', 'holds.state', 'incidents', 'incidents.state'] as const

/** Of one client: in the snapshot, read behind it, and still to come; together as many as its rule bears (search-flood.yml: 120). */
export const SEARCHES = { snapshot: 95, read: 10, toCome: 15 } as const

const START_MS = Date.UTC(2026, 10, 20, 12)
const [model = ''] = generateWaf({ seed: 5, count: 1, startMs: START_MS, durationMs: 1_000 })

/** Search number `at`, four a second, each for something else. */
export function search(at: number, client = '203.0.113.77'): string {
  const record = JSON.parse(model) as { readonly httpRequest: object }
  const headers = [
    { name: 'Host', value: 'shop.example' },
    { name: 'User-Agent', value: 'Mozilla/5.0 (X11; Linux x86_64) of the upgrade test' },
  ]
  const asked = {
    clientIp: client,
    uri: '/search',
    args: `q=thing${at}`,
    httpMethod: 'GET',
    requestId: `1-${at}`,
    headers,
  }
  const stands = { action: 'ALLOW', terminatingRuleId: 'Default_Action', terminatingRuleType: 'REGULAR' }
  const httpRequest = { ...record.httpRequest, ...asked }
  return JSON.stringify({ ...record, ...stands, labels: [], timestamp: START_MS + at * 250, httpRequest })
}
