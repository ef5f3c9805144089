import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { recordId } from '../../engine/event.ts'
import { parseFalco } from '../../enrichers/parse-falco.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import {
  cloudTrail,
  alertsOfEveryKind as everyKind,
  falcoAlert,
  file,
  internal,
  kubernetesAudit,
  network,
} from '../support/falco-alerts.ts'
import { parser } from '../support/parse.ts'

const stage = await parseFalco.open(parseFalco.config.parse({}), testDeps({ clock: new FakeClock() }))
const { outcome, mapped } = parser(stage, 'falco')

interface Published {
  readonly path: string
  readonly event: JsonObject
}
const published = readFileSync(new URL('../fixtures/falco/published.ndjson', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map(line => JSON.parse(line) as Published)

describe('every kind of alert becomes a valid Detection Finding', () => {
  it.each(Object.entries(everyKind))('%s', (_name, alert) => {
    const body = mapped(alert)
    expect([body.class_uid, body.activity_id, body.finding_info?.['title']]).toEqual([2004, 1, alert['rule']])
  })

  const refusable = (event: JsonObject): boolean =>
    event['priority'] === undefined ||
    event['time'] === '2021-04-13T20:58:00.746609046Z+2' ||
    event['time'] === '2001-01-01T01:10:00Z'

  it('every alert that Falco and Falcosidekick publish', () => {
    const whole = published.filter(({ event }) => !refusable(event))
    expect(whole.length).toBe(published.length - 4)
    for (const { event } of whole) expect(mapped(event).message).toBe(event['output'])
  })

  it('but a fragment without priority, an impossible time and a time before Falco, which they have too, are refused', () => {
    const reasons = published.filter(({ event }) => refusable(event)).map(({ event }) => outcome(event))
    expect(reasons.toSorted()).toEqual([
      'not_falco: no priority',
      'time_out_of_range: before 2017, or not in milliseconds',
      'time_out_of_range: before 2017, or not in milliseconds',
      'time_out_of_range: no time',
    ])
  })
})

describe('priorities', () => {
  it.each([
    ['Emergency', 6, 'Fatal'],
    ['Alert', 6, 'Fatal'],
    ['Critical', 5, 'Critical'],
    ['Error', 4, 'High'],
    ['Warning', 3, 'Medium'],
    ['Notice', 2, 'Low'],
    ['Informational', 1, 'Informational'],
    ['Info', 1, 'Informational'],
    ['Debug', 1, 'Informational'],
    ['WARNING', 3, 'Medium'],
    ['Funny', 0, 'Unknown'],
    ['constructor', 0, 'Unknown'],
  ])('%s is severity %d, and the word is kept', (priority, id, caption) => {
    const body = mapped(falcoAlert({ priority }))
    expect([body.severity_id, body.severity, body.unmapped?.['priority']]).toEqual([id, caption, priority])
  })
})

describe('what was seen', () => {
  it('a shell in a container has process, user, container, image and pod', () => {
    const body = mapped(falcoAlert())
    expect(body.evidences).toEqual([
      {
        process: {
          name: 'bash',
          cmd_line: 'bash -i',
          path: '/usr/bin/bash',
          uid: 'a1b2c3d4e5f6:bash',
          user: { name: 'node', uid: '1000' },
          parent_process: { name: 'node', uid: 'a1b2c3d4e5f6:node' },
        },
        container: {
          uid: 'a1b2c3d4e5f6',
          name: 'order',
          image: { uid: 'registry.example/shop/order:1.4.2', name: 'registry.example/shop/order' },
        },
      },
    ])
    expect(body.resources).toEqual([{ type: 'Kubernetes Pod', name: 'order-6c9d8b7f5-x2x4z', namespace: 'shop' }])
    expect(body.device).toEqual({
      hostname: 'ip-10-20-3-4.ap-northeast-2.compute.internal',
      type_id: 0,
      type: 'Unknown',
    })
  })

  it('a process with a pid needs no made-up identity', () => {
    expect(mapped(file).evidences?.[0]?.['process']).toMatchObject({ pid: 4711, parent_process: { pid: 1 } })
    expect(mapped(file).evidences?.[0]?.['process']).not.toHaveProperty('uid')
  })

  it('outside of containers there is no container', () => {
    const body = mapped(falcoAlert({}, { 'container.id': 'host', 'container.name': 'host' }))
    expect(body.evidences?.[0]).not.toHaveProperty('container')
    expect(body.unmapped?.['output_fields']).toMatchObject({ 'container.id': 'host' })
  })

  it('a connection has both ends, IPv6 too, and the way it went', () => {
    expect(mapped(network).evidences?.[0]).toMatchObject({
      src_endpoint: { ip: '10.20.3.9', port: 43_812 },
      dst_endpoint: { ip: '10.96.0.1', port: 443 },
      connection_info: { direction_id: 2, protocol_name: 'tcp' },
    })
    const six = falcoAlert({}, { 'fd.name': '2001:db8::1:40000->2001:db8::2:22', 'evt.type': 'accept4' })
    expect(mapped(six).evidences?.[0]).toMatchObject({
      src_endpoint: { ip: '2001:db8::1', port: 40_000 },
      dst_endpoint: { ip: '2001:db8::2', port: 22 },
      connection_info: { direction_id: 1 },
    })
  })

  it.each(['10.0.0.1:1->10.0.0.2:99999', '10.0.0.999:1->10.0.0.2:2', 'socket', '->', `${'1'.repeat(200)}:1->2:2`])(
    'what only looks like a connection stays as it is: %s',
    name => {
      const body = mapped(falcoAlert({}, { 'fd.name': name }))
      expect(body.evidences?.[0]).not.toHaveProperty('src_endpoint')
      expect(body.unmapped?.['output_fields']).toMatchObject({ 'fd.name': name })
    },
  )

  it('a file has its name and path', () => {
    expect(mapped(file).evidences?.[0]?.['file']).toEqual({
      name: 'shadow',
      path: '/etc/shadow',
      type_id: 1,
      type: 'Regular File',
    })
  })

  it('Kubernetes audit and CloudTrail alerts have operation, user and target', () => {
    expect(mapped(kubernetesAudit).evidences?.[0]).toEqual({
      api: { operation: 'create', response: { code: 101 } },
      actor: { user: { name: 'kubernetes-admin' } },
      http_request: { url: { path: '/api/v1/namespaces/shop/pods/order/exec' }, user_agent: 'kubectl/v1.35.0' },
    })
    expect(mapped(kubernetesAudit).resources).toEqual([
      { type: 'Kubernetes pods', name: 'order-6c9d8b7f5-x2x4z', namespace: 'shop' },
    ])
    expect(mapped(cloudTrail).evidences?.[0]).toEqual({
      api: { operation: 'ConsoleLogin', service: { name: 'signin.amazonaws.com' }, response: { error: 'Failed' } },
      src_endpoint: { ip: '203.0.113.20' },
      actor: { user: { name: 'root' } },
    })
  })

  it('fields of plugins may be written with underscores', () => {
    const body = mapped(
      falcoAlert({
        output_fields: {
          container_id: 'abc',
          container_name: 'web',
          k8s_pod_name: 'p',
          k8s_ns_name: 'n',
          'proc.name': 'sh',
        },
      }),
    )
    expect(body.evidences?.[0]?.['container']).toEqual({ uid: 'abc', name: 'web' })
    expect(body.resources).toEqual([{ type: 'Kubernetes Pod', name: 'p', namespace: 'n' }])
  })

  it('a container without a process is a resource, as OCSF has no evidence of a container alone', () => {
    const body = mapped(falcoAlert({ output_fields: { 'container.id': 'abc', 'container.image.repository': 'nginx' } }))
    expect(body.evidences).toBeUndefined()
    expect(body.resources).toEqual([
      { type: 'Container', uid: 'abc', data: { image: { uid: 'nginx', name: 'nginx' } } },
    ])
  })

  it('an alert without output fields is still an alert', () => {
    const { output_fields: _, ...bare } = falcoAlert()
    expect(mapped(bare).message).toBe(bare['output'])
  })
})

describe('identity, time and kind', () => {
  it('nanoseconds past 2^53 stay exact', () => {
    const raw = JSON.stringify(falcoAlert()).replace('"NANOSECONDS"', '1763870400123456789')
    expect(mapped(raw).unmapped?.['output_fields']).toMatchObject({ 'evt.time.iso8601': '1763870400123456789' })
    expect(mapped(raw).metadata?.original_time).toBe('2026-11-23T04:00:00.123456789Z')
    expect(mapped(raw).time).toBe(Date.parse('2026-11-23T04:00:00.123Z'))
  })

  it("Go's shorter fractions, as Falcosidekick writes them, are times", () => {
    expect(mapped(falcoAlert({ time: '2026-11-23T04:00:00.5Z' })).time).toBe(Date.parse('2026-11-23T04:00:00.500Z'))
    expect(mapped(falcoAlert({ time: '2026-11-23T04:00:00Z' })).time).toBe(Date.parse('2026-11-23T04:00:00Z'))
    expect(mapped(falcoAlert({ time: '2026-11-23T13:00:00+09:00' })).time).toBe(Date.parse('2026-11-23T04:00:00Z'))
  })

  it("Falcosidekick's uuid names the finding but does not decide its identity", () => {
    const uuid = 'fd3b9e1c-0c4e-4e1d-9d5e-8f0e7d6c5b4a'
    const body = mapped(falcoAlert({ uuid }))
    expect(body.finding_info?.['uid']).toBe(uuid)
    expect(body.metadata?.uid).toBe(recordId(Buffer.from(JSON.stringify(falcoAlert({ uuid })))))
    expect(mapped(`  ${JSON.stringify(falcoAlert({ uuid }))}\n`).metadata?.uid).toBe(body.metadata?.uid)
  })

  it("Falco's own notices are no alerts", () => {
    expect(mapped(internal).is_alert).toBe(false)
    const { source: _, ...old } = internal
    expect(mapped(old).is_alert).toBe(false)
    expect(mapped(falcoAlert()).is_alert).toBe(true)
  })

  it('tags become labels and ATT&CK', () => {
    const attacks = (tags: string[]): unknown => mapped(falcoAlert({ tags })).finding_info?.['attacks']
    const execution = { name: 'Execution', uid: 'TA0002' }
    expect(mapped(falcoAlert()).metadata?.labels).toEqual(falcoAlert()['tags'])
    expect(attacks(['T1059.004', 'mitre_execution'])).toEqual([
      { technique: { uid: 'T1059' }, sub_technique: { uid: 'T1059.004' }, tactic: execution },
    ])
    expect(attacks(['TA0002'])).toEqual([{ tactic: execution }])
    expect(attacks(['T1059', 'mitre_execution', 'mitre_persistence'])).toEqual([
      { technique: { uid: 'T1059' } },
      { tactic: execution },
      { tactic: { name: 'Persistence', uid: 'TA0003' } },
    ])
    expect(attacks(['T1', 'TX059', 'mitre_nothing', 'PCI_DSS_10.2.5', '__proto__'])).toBeUndefined()
  })
})
