import { describe, expect, test } from 'vitest'
import { groupField } from '../../../detections/sigma/correlate/group.ts'
import type { Event, LogKind } from '../../../engine/contract.ts'
import { stages } from '../../../enrichers/index.ts'
import { openByType } from '../../../pipelines/compose.ts'
import { testEvent } from '../../../pipelines/rule-events.ts'
import { testDeps } from '../../support/deps.ts'

const deps = testDeps()

/** A record through its parse stage, and the values of a field of it. */
async function valuesOf(
  name: string,
  log: LogKind,
  record: Readonly<Record<string, unknown>>,
): Promise<readonly string[]> {
  const given: Event = testEvent({ log, timeMs: deps.clock.now(), request: {}, record, serial: 0 })
  const parser = await openByType(stages, `parse-${log}`, {}, deps)
  const [event] = await parser.apply([given], (_, reason) => {
    throw new Error(reason)
  })
  return groupField(name, log).read(event!.body)
}

const CONTAINER = 'a1b2c3d4e5f60718293a4b5c6d7e8f901112131415161718191a1b1c1d1e1f20'
const workload = (type: string) => ({
  kubernetesDetails: {
    kubernetesWorkloadDetails: { name: 'order-6c9d8b7f5-x2x4z', type, namespace: 'shop', uid: 'u-1' },
  },
})

describe('haetae.pod', () => {
  test('of a Falco alert is its pod and its container, whichever way the fields are written', async () => {
    const both = ['shop/order-6c9d8b7f5-x2x4z', 'a1b2c3d4e5f6']
    expect(await valuesOf('haetae.pod', 'falco', {})).toEqual(both)
    const output_fields = {
      k8s_ns_name: 'shop',
      k8s_pod_name: 'order-6c9d8b7f5-x2x4z',
      container_id: 'a1b2c3d4e5f6',
      'proc.name': 'sh',
    }
    expect(await valuesOf('haetae.pod', 'falco', { output_fields })).toEqual(both)
    expect(
      await valuesOf('haetae.pod', 'falco', { output_fields: { 'container.id': 'host', 'proc.name': 'sh' } }),
    ).toEqual([])
  })

  test('of a GuardDuty finding is its container, by as much of the id as Falco gives, else its pod', async () => {
    const container = { containerDetails: { id: CONTAINER, name: 'order' } }
    expect(await valuesOf('haetae.pod', 'guardduty', { resource: { ...container, ...workload('pods') } })).toEqual([
      'a1b2c3d4e5f6',
    ])
    expect(await valuesOf('haetae.pod', 'guardduty', { resource: workload('pods') })).toEqual([
      'shop/order-6c9d8b7f5-x2x4z',
    ])
  })

  test('is not the name of a Deployment, nor of anything that is no pod', async () => {
    expect(await valuesOf('haetae.pod', 'guardduty', { resource: workload('deployments') })).toEqual([])
    expect(await valuesOf('haetae.pod', 'guardduty', {})).toEqual([])
  })
})

describe('haetae.node', () => {
  test('of a Falco alert is its host, or the instance id where the host is named by it', async () => {
    expect(await valuesOf('haetae.node', 'falco', {})).toEqual(['ip-10-20-3-4.ap-northeast-2.compute.internal'])
    const hostname = 'I-0a1b2c3d4e5f60718.ap-northeast-2.compute.internal'
    expect(await valuesOf('haetae.node', 'falco', { hostname })).toEqual(['i-0a1b2c3d4e5f60718'])
    expect(await valuesOf('haetae.node', 'falco', { hostname: 'i-0a1b2c3d-backup.example' })).toEqual([
      'i-0a1b2c3d-backup.example',
    ])
  })

  test('of a GuardDuty finding is the name in the VPC and the id of its instance', async () => {
    const networkInterfaces = [{ privateDnsName: 'ip-10-20-3-4.ap-northeast-2.compute.internal' }]
    const resource = { instanceDetails: { instanceId: 'i-0a1b2c3d4e5f60718', networkInterfaces } }
    expect(await valuesOf('haetae.node', 'guardduty', { resource })).toEqual([
      'ip-10-20-3-4.ap-northeast-2.compute.internal',
      'i-0a1b2c3d4e5f60718',
    ])
    expect(
      await valuesOf('haetae.node', 'guardduty', { resource: { s3BucketDetails: [{ name: 'b', arn: 'a' }] } }),
    ).toEqual([])
  })
})

test('both are about a resource, counted by way of the topic matches, and no field of a web request', () => {
  for (const name of ['haetae.pod', 'haetae.node']) {
    for (const log of ['guardduty', 'falco'] as const)
      expect(groupField(name, log)).toMatchObject({ actor: 'resource', withKey: false })
    expect(() => groupField(name, 'waf')).toThrow()
  }
})
