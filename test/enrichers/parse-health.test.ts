/** What AWS Health says about leaked credentials, through the stage that parses GuardDuty's findings. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { key } from '../../enrichers/key.ts'
import { parseGuardduty } from '../../enrichers/parse-guardduty.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { exposedKey } from '../support/findings.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { parser } from '../support/parse.ts'

const KEY = 'AKIAIOSFODNN7EXAMPLE'
const stage = await parseGuardduty.open(parseGuardduty.config.parse({}), testDeps({ clock: new FakeClock() }))
const { mapped, outcome } = parser(stage, 'guardduty')
const with_ = (detail: JsonObject): JsonObject => {
  const event = exposedKey(KEY)
  return { ...event, detail: { ...(event['detail'] as JsonObject), ...detail } }
}

describe('an exposed access key', () => {
  it('is a critical finding about the key, in the account and Region it says', () => {
    expect(mapped(exposedKey(KEY))).toMatchObject({
      class_uid: 2004,
      activity_name: 'Create',
      severity: 'Critical',
      is_alert: true,
      time: Date.parse('2026-11-23T06:02:51Z'),
      cloud: { provider: 'AWS', region: 'us-east-1', account: { uid: '123456789012' } },
      metadata: { log_name: 'aws-health', product: { name: 'Health', vendor_name: 'AWS' } },
      finding_info: {
        types: ['AWS_RISK_CREDENTIALS_EXPOSED'],
        created_time: Date.parse('2026-11-23T06:00:00Z'),
        desc: 'The key was found in a public repository.',
      },
      resources: [{ type: 'AWS::IAM::AccessKey', uid: KEY, region: 'us-east-1' }],
    })
  })

  it('keeps everything else that AWS said', () => {
    const body = mapped(with_({ affectedEntities: [{ entityValue: 'ci', status: 'IMPAIRED' }, { entityValue: KEY }] }))
    expect(body.resources).toMatchObject([{ uid: KEY }])
    expect(body.unmapped).toMatchObject({
      eventTypeCode: 'AWS_RISK_CREDENTIALS_EXPOSED',
      affectedEntities: [{ entityValue: 'ci', status: 'IMPAIRED' }],
      event_bridge: { source: 'aws.health' },
    })
  })

  it('that several keys are named by is one finding about all of them, up to a bound', () => {
    const keys = Array.from({ length: 150 }, (_, at) => `AKIAIOSFODNN7${String(at).padStart(7, '0')}`)
    const { resources } = mapped(with_({ affectedEntities: keys.map(entityValue => ({ entityValue })) }))
    expect(resources?.map(({ uid }) => uid)).toEqual(keys.slice(0, 100))
  })

  it('that AWS has closed is a closed finding and no alert', () => {
    expect(mapped(with_({ statusCode: 'closed' }))).toMatchObject({
      activity_name: 'Close',
      status: 'Resolved',
      is_alert: false,
    })
  })

  it('without a time of its own has that of EventBridge', () => {
    expect(mapped(with_({ lastUpdatedTime: 'soon' })).time).toBe(Date.parse('2026-11-23T06:03:00Z'))
  })
})

describe('identity', () => {
  const uid = (event: JsonObject): string | undefined => mapped(event).metadata?.uid

  it('the copy for a second Region is the same event; another page or account is another one', () => {
    const first = exposedKey(KEY)
    expect(uid({ ...first, id: 'other', region: 'us-west-2' })).toBe(uid(first))
    expect(uid(with_({ communicationId: 'c0ffee-2' }))).not.toBe(uid(first))
    expect(uid(with_({ affectedAccount: '210987654321' }))).not.toBe(uid(first))
  })

  it('all that is about one key shares a partition', async () => {
    const keys = await key.open({}, testDeps())
    const events = [exposedKey(KEY), with_({ communicationId: 'c0ffee-2' })].map(each => eventOf(each, 'guardduty'))
    await keys.apply(events, () => expect.fail('key rejects nothing'))
    expect(events.map(each => each.key)).toEqual([KEY, KEY])
  })
})

describe('refused, with the reason:', () => {
  it.each<[string, JsonObject, RegExp]>([
    ['other events of AWS Health', with_({ eventTypeCode: 'AWS_EC2_OPERATIONAL_ISSUE' }), /not about credentials/],
    ['one without its detail', { source: 'aws.health', detail: 'text' }, /without its detail/],
    ['one without an ARN', with_({ eventArn: '' }), /without eventArn/],
    ['one of last century', with_({ lastUpdatedTime: 'Fri, 27 Jan 1984 06:02:51 GMT' }), /^time_out_of_range/],
  ])('%s', (_, event, reason) => {
    expect(outcome(event)).toMatch(reason)
  })
})

it('whatever single value is replaced by whatever else, the outcome is valid OCSF or a refusal', () => {
  const fields = [...Object.keys(exposedKey(KEY)['detail'] as JsonObject)]
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.jsonValue({ maxDepth: 3 }), (field, value) => {
      const result = outcome(with_({ [field]: value } as JsonObject))
      if (typeof result === 'string') expect(result).toMatch(/^(not_guardduty|time_out_of_range)/)
      else expect(ocsfErrors(JSON.parse(JSON.stringify(result)))).toEqual([])
    }),
    { numRuns: 1000 },
  )
})
