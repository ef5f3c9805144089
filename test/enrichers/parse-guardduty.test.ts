import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseGuardduty } from '../../enrichers/parse-guardduty.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import {
  connection,
  eventBridge,
  findingsOfEveryKind as everyKind,
  finding,
  pascalCase,
  remote,
  withService,
} from '../support/findings.ts'
import { parser } from '../support/parse.ts'

const stage = await parseGuardduty.open(parseGuardduty.config.parse({}), testDeps({ clock: new FakeClock() }))
const { mapped } = parser(stage, 'guardduty')
const sample = readFileSync(new URL('../fixtures/guardduty/ssh-brute-force.json', import.meta.url))

const ips = (body: OcsfEvent, end: 'src_endpoint' | 'dst_endpoint'): unknown[] =>
  (body.evidences ?? []).map(each => (each[end] as JsonObject | undefined)?.['ip'])

describe('every kind of finding becomes a valid Detection Finding', () => {
  it.each(Object.entries(everyKind))('%s', (_name, record) => {
    const body = mapped(record)
    expect(body.class_uid).toBe(2004)
    expect(body.finding_info?.['types']).toEqual([record['type']])
    expect(body.cloud).toEqual({
      provider: 'AWS',
      region: 'ap-northeast-2',
      account: { uid: '123456789012', type_id: 10, type: 'AWS Account' },
    })
  })

  it("AWS's published test event, which has no account and no ARN", () => {
    const body = mapped(sample)
    expect(body.finding_info?.['uid']).toBe('02be5693b63eea1d67e6f321c6aee4f3')
    expect(body.time).toBe(Date.parse('2018-05-11T14:56:39.976Z'))
    expect(body.metadata?.labels).toEqual(['sample'])
    expect(ips(body, 'src_endpoint')).toEqual(['198.51.100.0'])
    expect(body.evidences?.[0]?.['src_endpoint']).not.toHaveProperty('autonomous_system.number')
    expect(body.evidences?.[0]?.['src_endpoint']).not.toHaveProperty('location.lat')
  })
})

describe('remote addresses', () => {
  it('of an inbound connection are the source, with place and network', () => {
    const [evidence] = mapped(everyKind['inbound']).evidences!
    expect(evidence).toEqual({
      src_endpoint: {
        ip: '180.70.170.34',
        port: 32_794,
        location: { country: 'KR', city: 'Suwon', lat: 37.26, long: 127.01, desc: 'South Korea' },
        autonomous_system: { number: 9318, name: 'SK Broadband Co Ltd' },
        isp: 'SK Broadband',
        isp_org: 'SKB',
      },
      dst_endpoint: { ip: '10.0.1.5', port: 22, instance_uid: 'i-0a1b2c3d4e5f60718', svc_name: 'SSH' },
      connection_info: { direction_id: 1, direction: 'Inbound', protocol_name: 'tcp' },
    })
  })

  it('of an outbound connection are the destination, so that nobody blocks a mining pool at the front door', () => {
    const body = mapped(everyKind['outbound'])
    expect(ips(body, 'dst_endpoint')).toEqual(['180.70.170.34'])
    expect(ips(body, 'src_endpoint')).toEqual(['10.0.1.5'])
  })

  it('of a port probe are all there, IPv6 too', () => {
    expect(ips(mapped(everyKind['probe']), 'src_endpoint')).toEqual(['198.51.100.1', '198.51.100.2', '2001:db8::7'])
  })

  it('of API callers, Kubernetes callers, database logins and attack sequences are there', () => {
    expect(ips(mapped(everyKind['api']), 'src_endpoint')).toEqual(['91.203.5.1'])
    expect(ips(mapped(everyKind['kubernetes']), 'src_endpoint')).toEqual(['203.0.113.9'])
    expect(ips(mapped(everyKind['rds']), 'src_endpoint')).toEqual(['203.0.113.77', '203.0.113.77'])
    expect(ips(mapped(everyKind['sequence']), 'src_endpoint')).toEqual(['185.220.101.7', undefined])
    expect(mapped(everyKind['sequence']).evidences?.[1]?.['dst_endpoint']).toEqual({ hostname: 'pool.example' })
  })

  it('that are none stay in unmapped', () => {
    const body = mapped(finding('UnauthorizedAccess:EC2/SSHBruteForce', connection('INBOUND', remote('X.X.X.X'))))
    expect(JSON.stringify(body.unmapped)).toContain('X.X.X.X')
    expect(body.observables?.some(each => each.value === 'X.X.X.X')).toBe(false)
  })

  it('can be searched as observables', () => {
    expect(
      mapped(everyKind['probe'])
        .observables?.filter(each => each.type_id === 2)
        .map(each => each.value),
    ).toEqual(['198.51.100.1', '10.0.1.5', '198.51.100.2', '2001:db8::7'])
  })
})

describe('what was done and to what', () => {
  it('an API call has operation, service, error and caller', () => {
    const body = mapped(everyKind['api'])
    expect(body.evidences?.[0]).toMatchObject({
      api: {
        operation: 'GetCallerIdentity',
        service: { name: 'sts.amazonaws.com' },
        response: { error: 'AccessDenied' },
      },
      http_request: { user_agent: 'aws-cli/2.31.0' },
    })
    expect(body.resources).toEqual([
      {
        type: 'AWS::IAM::AccessKey',
        uid: 'AKIAIOSFODNN7EXAMPLE',
        owner: { name: 'ci', uid: 'AIDACKCEVSQ6C2EXAMPLE', type: 'IAMUser' },
        region: 'ap-northeast-2',
        role_id: 1,
        role: 'Target',
      },
    ])
  })

  it('a Kubernetes call has user, path and the proxies between', () => {
    const body = mapped(everyKind['kubernetes'])
    expect(body.evidences?.[0]).toMatchObject({
      api: { operation: 'list', response: { code: 200 } },
      actor: { user: { name: 'system:anonymous', groups: [{ name: 'system:unauthenticated' }] } },
      http_request: { url: { path: '/api/v1/secrets' }, x_forwarded_for: ['203.0.113.9', '10.1.2.3'] },
    })
    expect(body.resources?.map(each => [each['type'], each['name']])).toEqual([
      ['AWS::EKS::Cluster', 'shop'],
      ['Kubernetes deployments', 'order'],
    ])
  })

  it('database logins have one evidence for each account', () => {
    expect(mapped(everyKind['rds']).evidences?.map(each => each['actor'])).toEqual([
      { user: { name: 'admin' } },
      { user: { name: 'shop' } },
    ])
  })

  it('a runtime finding has its process with the hash of its file', () => {
    expect(mapped(everyKind['runtime']).evidences?.[0]).toMatchObject({
      process: {
        name: 'sshd',
        pid: 2345,
        user: { name: 'admin', uid: '1000' },
        file: { hashes: [{ algorithm_id: 3, value: 'd2'.repeat(32) }] },
      },
    })
  })

  it('every bucket is a resource', () => {
    expect(mapped(everyKind['bucket']).resources?.map(each => each['name'])).toEqual(['orders', 'logs'])
  })

  it('the threat purpose is a tactic where ATT&CK has it', () => {
    expect(mapped(everyKind['rds']).finding_info?.['attacks']).toEqual([
      { tactic: { name: 'Credential Access', uid: 'TA0006' } },
    ])
    expect(mapped(everyKind['inbound']).finding_info).not.toHaveProperty('attacks')
  })
})

describe('severity and state', () => {
  it.each([
    [0, 0],
    [0.5, 1],
    [1, 2],
    [3.9, 2],
    [4, 3],
    [6.9, 3],
    [7, 4],
    [8.9, 4],
    [9, 5],
    [9.5, 5],
    [10, 5],
  ])('severity %d is level %d', (severity, level) => {
    const body = mapped(finding('Recon:EC2/Portscan', {}, { severity }))
    expect(body.severity_id).toBe(level)
    if (severity > 0) expect(body.unmapped?.['severity']).toBe(severity)
  })

  it('of a wrong type is unknown, and kept', () => {
    const body = mapped(finding('Recon:EC2/Portscan', {}, { severity: 'high' }))
    expect(body.severity_id).toBe(0)
    expect(body.unmapped?.['severity']).toBe('high')
  })

  it('a finding seen for the first time is created, later updated, and closed once archived', () => {
    const first = { updatedAt: '2026-11-23T04:05:00.000Z' }
    expect(mapped(finding('Recon:EC2/Portscan', {}, first)).activity_name).toBe('Create')
    expect(mapped(finding('Recon:EC2/Portscan', {})).activity_name).toBe('Update')
    const archived = mapped(withService({ archived: true }))
    expect([archived.activity_name, archived.status, archived.is_alert]).toEqual(['Close', 'Archived', false])
  })

  it('a sample says so, also where only the text of additionalInfo does', () => {
    expect(mapped(withService({ additionalInfo: { value: '{"sample":true}' } })).metadata?.labels).toEqual(['sample'])
    expect(mapped(withService({ additionalInfo: { value: '{"sample":false}' } })).metadata?.labels).toBeUndefined()
  })
})

describe('identity', () => {
  const uid = (record: unknown): unknown => mapped(record).metadata?.uid
  const base = everyKind['inbound']!

  it('is the same by EventBridge, from S3, from the API and however the time is written', () => {
    expect(uid(eventBridge(base))).toBe(uid(base))
    expect(uid({ ...eventBridge(base), id: 'another', time: '2026-11-23T04:20:00Z' })).toBe(uid(base))
    expect(uid(pascalCase(base))).toBe(uid(base))
    expect(uid(eventBridge(pascalCase(base) as JsonObject))).toBe(uid(base))
    expect(uid({ ...base, updatedAt: '2026-11-23T04:15:00.000+0000' })).toBe(uid(base))
    expect(uid({ ...base, updatedAt: '2026-11-23 04:15:00.000' })).toBe(uid(base))
    expect(uid({ ...base, accountId: '111122223333' })).toBe(uid(base))
  })

  it('is another for each update and for each finding', () => {
    expect(uid({ ...base, updatedAt: '2026-11-23T04:15:00.001Z' })).not.toBe(uid(base))
    expect(uid({ ...base, id: 'f'.repeat(32) })).not.toBe(uid(base))
    expect(uid(base)).toMatch(/^[0-9a-f]{32}$/)
  })

  it('joins the updates of one finding', () => {
    const later = mapped({ ...base, updatedAt: '2026-11-23T05:00:00.000Z' })
    expect(later.finding_info?.['uid']).toBe(mapped(base).finding_info?.['uid'])
  })
})

describe('both spellings', () => {
  it.each(Object.entries(everyKind))('PascalCase gives the same finding as camelCase: %s', (_name, record) => {
    expect(mapped(pascalCase(record))).toEqual(mapped(record))
  })

  it('the envelope without its detail is kept, and lends account and Region', () => {
    const { accountId: _account, region: _region, ...bare } = everyKind['inbound']!
    const body = mapped(eventBridge(bare))
    expect(body.cloud?.account?.uid).toBe('123456789012')
    expect(body.cloud?.region).toBe('ap-northeast-2')
    expect(body.unmapped?.['event_bridge']).toMatchObject({
      id: 'c8c4daa7-a20c-2f03-0070-b7393dd542ad',
      source: 'aws.guardduty',
    })
  })
})
