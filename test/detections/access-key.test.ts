import { expect, test } from 'vitest'
import { sigma } from '../../detections/sigma.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { decisionsOf } from '../../response/decide/alert.ts'
import { detected, parsed } from '../support/correlations.ts'
import { testDeps } from '../support/deps.ts'
import { exposedKey, finding, remote } from '../support/findings.ts'

test('a key that GuardDuty sees misused is asked to be disabled, though the finding names who used it', async () => {
  const detector = await sigma.open(sigma.config.parse({}), testDeps())
  const call = {
    actionType: 'AWS_API_CALL',
    awsApiCallAction: { api: 'ListBuckets', callerType: 'Remote IP', remoteIpDetails: remote('180.70.170.34') },
  }
  const record = finding('UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom', call, {
    severity: 8,
    resource: { resourceType: 'AccessKey', accessKeyDetails: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', userName: 'ci' } },
  })
  const alerts = detected(detector, [await parsed('guardduty', record, Date.now(), 'events.guardduty/0')])
  const asked = alerts.filter(({ kind }) => kind === 'alert').map(alert => decisionsOf(alert, 'haetae-block'))
  expect(asked).toMatchObject([
    [{ type: 'disable_key', target: { type: 'access_key', value: 'AKIAIOSFODNN7EXAMPLE' } }],
  ])
})

test('every key that AWS Health found in public is asked to be disabled, once each', async () => {
  const detector = await sigma.open(sigma.config.parse({}), testDeps())
  const [first, second] = ['AKIAIOSFODNN7EXAMPLE', 'AKIAI44QH8DHBEXAMPLE'] as const
  const event = exposedKey(first)
  const detail = event['detail'] as JsonObject
  const record = {
    ...event,
    detail: { ...detail, affectedEntities: [first, second, first].map(entityValue => ({ entityValue })) },
  }
  const read = await parsed('guardduty', record, Date.now(), 'events.guardduty/0')
  const alerts = detected(detector, [read]).filter(({ kind }) => kind === 'alert')
  expect(alerts.map(({ rule }) => rule)).toEqual(['5c8d6f2e-1b0a-4a5e-9d0e-6f3b2c7a9e41'])
  const asked = decisionsOf(alerts[0]!, 'haetae-block')
  expect(asked).toMatchObject(
    [first, second].map(value => ({ type: 'disable_key', target: { type: 'access_key', value } })),
  )
  expect(new Set((asked as readonly { uid: string }[]).map(({ uid }) => uid)).size).toBe(2)
  expect(decisionsOf(alerts[0]!, 'haetae-block')).toEqual(asked)
})
