import { expect, test } from 'vitest'
import { sigma } from '../../detections/sigma.ts'
import { decisionsOf } from '../../response/decide/alert.ts'
import { detected, parsed } from '../support/correlations.ts'
import { testDeps } from '../support/deps.ts'
import { finding, remote } from '../support/findings.ts'

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
