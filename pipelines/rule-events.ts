import type { output } from 'zod'
import type { testRequest } from '../detections/sigma/rule.ts'
import type { LogKind } from '../engine/contract.ts'
import { RecordEvent } from '../engine/event.ts'

/** One event of a rule's own test, in short. */
export interface TestEvent {
  readonly log: LogKind
  readonly timeMs: number
  readonly request: output<typeof testRequest>
  readonly record: Readonly<Record<string, unknown>>
  /** Makes otherwise equal events different ones. */
  readonly serial: number
}

/** As it would be read, before its parse stage. */
export function testEvent(given: TestEvent): RecordEvent {
  const record = { ...records[given.log](given), ...given.record }
  return new RecordEvent(given.log, Buffer.from(JSON.stringify(record)), given.timeMs)
}

const records: Readonly<Record<LogKind, (given: TestEvent) => object>> = {
  waf: wafRecord,
  guardduty: finding,
  falco: falcoAlert,
}

const HOST = 'www.haetae-shop.example'
const BROWSER =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'

/** A WAF record of a request that was let through. */
function wafRecord({ request, timeMs, serial }: TestEvent): object {
  const headers = { Host: HOST, 'User-Agent': BROWSER, Accept: '*/*', ...request.headers }
  return {
    timestamp: timeMs,
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/5933d6d9-9dde-4c82-a8aa-9c28aa900001',
    terminatingRuleId: 'Default_Action',
    terminatingRuleType: 'REGULAR',
    action: 'ALLOW',
    terminatingRuleMatchDetails: [],
    httpSourceName: 'ALB',
    httpSourceId: 'app/shop/abc',
    ruleGroupList: [],
    rateBasedRuleList: [],
    nonTerminatingMatchingRules: [],
    httpRequest: {
      clientIp: request.client ?? '192.0.2.10',
      country: 'KR',
      headers: Object.entries(headers).map(([name, value]) => ({ name, value })),
      uri: request.uri ?? '/',
      args: request.args ?? '',
      httpVersion: 'HTTP/2.0',
      httpMethod: request.method ?? 'GET',
      requestId: `1-00000000-${String(serial).padStart(24, '0')}`,
    },
  }
}

/** A GuardDuty finding about an instance. */
function finding({ timeMs, serial }: TestEvent): object {
  const time = new Date(timeMs).toISOString()
  const id = String(serial).padStart(32, '0')
  return {
    schemaVersion: '2.0',
    accountId: '123456789012',
    region: 'ap-northeast-2',
    partition: 'aws',
    id,
    arn: `arn:aws:guardduty:ap-northeast-2:123456789012:detector/12abc34d567e8fa901bc2d34e56789f0/finding/${id}`,
    type: 'UnauthorizedAccess:EC2/SSHBruteForce',
    severity: 5,
    title: 'Something happened to i-0a1b2c3d4e5f60718.',
    description: 'Something happened to the instance.',
    resource: { resourceType: 'Instance', instanceDetails: { instanceId: 'i-0a1b2c3d4e5f60718' } },
    service: { serviceName: 'guardduty', resourceRole: 'TARGET', archived: false, count: 1 },
    createdAt: time,
    updatedAt: time,
  }
}

/** A Falco alert from a pod. */
function falcoAlert({ timeMs, serial }: TestEvent): object {
  return {
    hostname: 'ip-10-20-3-4.ap-northeast-2.compute.internal',
    output: `Something happened (${serial})`,
    output_fields: { 'k8s.ns.name': 'shop', 'k8s.pod.name': 'order-6c9d8b7f5-x2x4z', 'container.id': 'a1b2c3d4e5f6' },
    priority: 'Notice',
    rule: 'Something',
    source: 'syscall',
    tags: [],
    time: new Date(timeMs).toISOString(),
  }
}
