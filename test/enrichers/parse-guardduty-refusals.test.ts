import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseGuardduty } from '../../enrichers/parse-guardduty.ts'
import type { Json } from '../../platform/ocsf/event.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { eventBridge, findingsOfEveryKind as everyKind, finding } from '../support/findings.ts'
import { junk, placesOf, replaced } from '../support/mutate.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { parser } from '../support/parse.ts'

const stage = await parseGuardduty.open(parseGuardduty.config.parse({}), testDeps({ clock: new FakeClock() }))
const { outcome, mapped } = parser(stage, 'guardduty')
const sample = readFileSync(new URL('../fixtures/guardduty/ssh-brute-force.json', import.meta.url))

describe('refused with a reason', () => {
  const deep = `${'{"a":'.repeat(70)}1${'}'.repeat(70)}`
  const wide = `{${Array.from({ length: 2001 }, (_, index) => `"k${index}":1`).join(',')}}`
  const { updatedAt: _, ...timeless } = everyKind['inbound']!
  const late = finding('Recon:EC2/Portscan', {}, { updatedAt: '2026-11-26T00:00:00Z' })

  it.each<readonly [string, unknown, RegExp]>([
    ['truncated JSON', sample.subarray(0, 900), /^not_json/],
    ['no JSON', 'hello', /^not_json/],
    ['an empty record', '', /^not_json/],
    ['a raw NUL byte', Buffer.from('{"id":"a\0b"}'), /^not_json/],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /^invalid_utf8$/],
    ['an array', '[]', /^not_guardduty/],
    ['a string', '"finding"', /^not_guardduty/],
    ['null', 'null', /^not_guardduty/],
    ['a list of findings', { findings: [everyKind['inbound']] }, /^not_guardduty/],
    [
      'another EventBridge event',
      { ...eventBridge(everyKind['inbound']!), 'detail-type': 'EC2 Instance State-change Notification' },
      /^not_guardduty/,
    ],
    ['an EventBridge event of another service', eventBridge({ state: 'running' }), /^not_guardduty/],
    ['a WAF record', { timestamp: 1, httpRequest: {}, webaclId: 'x' }, /^not_guardduty/],
    ['an id of a wrong type', { ...everyKind['inbound'], id: 7 }, /^not_guardduty/],
    ['a type that is none', { ...everyKind['inbound'], type: 'hello' }, /^not_guardduty/],
    ['too deep', deep, /^too_deep/],
    ['too many keys', wide, /^too_many_keys/],
    ['over 1 MiB', { ...everyKind['inbound'], description: 'x'.repeat(1_048_600) }, /^oversize/],
    ['no time', timeless, /^time_out_of_range/],
    ['a time of a wrong type', { ...everyKind['inbound'], updatedAt: {} }, /^time_out_of_range/],
    ['a day that does not exist', { ...everyKind['inbound'], updatedAt: '2026-02-30T00:00:00Z' }, /^time_out_of_range/],
    ['before 1970', { ...everyKind['inbound'], updatedAt: '1969-12-31T23:59:59Z' }, /^time_out_of_range/],
    ['1970', { ...everyKind['inbound'], updatedAt: '1970-01-01T00:00:00Z' }, /^time_out_of_range/],
    [
      'the end of 2016',
      { ...everyKind['inbound'], updatedAt: '2016-12-31T23:59:59Z' },
      /^time_out_of_range: before 2017/,
    ],
    ['more than a day ahead', late, /^time_out_of_range/],
  ])('%s', (_name, record, reason) => {
    expect(outcome(record)).toMatch(reason)
  })

  it('while its neighbours go on', () => {
    const batch = [everyKind['inbound'], 'broken', everyKind['api'], '[]'].map(record => eventOf(record, 'guardduty'))
    const refused: unknown[] = []
    const kept = stage.apply(batch, event => refused.push(event))
    expect(kept).toEqual([batch[0], batch[2]])
    expect(refused).toEqual([batch[1], batch[3]])
  })
})

describe('nothing is lost and nothing is trusted', () => {
  /** Every text of the record that is no time, folded as addresses and protocols are. */
  function texts(value: Json, found: string[] = []): string[] {
    if (typeof value === 'string' && value !== '' && !/^\d{4}-\d\d-\d\dT/.test(value)) found.push(value.toLowerCase())
    else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) texts(item, found)
    return found
  }

  it.each(Object.entries(everyKind))('every text of the record is in the event: %s', (_name, record) => {
    const body = JSON.stringify(mapped(record)).toLowerCase()
    // The role and the directions are numbers with a caption in OCSF; the id is the end of the ARN.
    expect(texts(record).filter(text => !body.includes(JSON.stringify(text).slice(1, -1)))).toEqual([])
  })

  it('prototype keys neither become keys nor vanish', () => {
    const raw = JSON.stringify(everyKind['inbound']).replace(
      '"service":{',
      '"__proto__":{"polluted":1},"service":{"constructor":"c",',
    )
    const body = mapped(raw)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
    expect(body.unmapped?.['prototype_keys']).toEqual({
      '$.__proto__': '{"polluted":1}',
      '$.service.constructor': '"c"',
    })
    expect(Object.keys(body.unmapped ?? {})).not.toContain('__proto__')
  })

  const kinds = Object.values(everyKind).map(record => ({ record, places: placesOf(record) }))
  const anyPlace = fc.tuple(fc.nat(kinds.length - 1), fc.nat()).map(([kind, place]) => {
    const { record, places } = kinds[kind]!
    return { record, place: places[place % places.length]! }
  })

  it('whatever single value is replaced by whatever else, the outcome is valid OCSF or a refusal', () => {
    fc.assert(
      fc.property(anyPlace, junk, ({ record, place }, by) => {
        const result = outcome(replaced(record, place, by))
        if (typeof result === 'string') expect(result).toMatch(/^(not_guardduty|time_out_of_range|not_json)/)
        else expect(ocsfErrors(JSON.parse(JSON.stringify(result)))).toEqual([])
      }),
      { numRuns: 3000 },
    )
  })

  it('a text in any place is in the event, under OCSF or in unmapped', () => {
    for (const { record, places } of kinds) {
      for (const place of places) {
        const result = outcome(replaced(record, place, 'Marker-7F3A'))
        const found = typeof result === 'string' ? place.length === 1 : /marker-7f3a/i.test(JSON.stringify(result))
        expect({ place, found }).toEqual({ place, found: true })
      }
    }
  })

  it('bytes changed at random give a valid event or a refusal, never an exception', () => {
    const bytes = Buffer.from(JSON.stringify(everyKind['kubernetes']))
    const codes = /^(not_guardduty|time_out_of_range|not_json|invalid_utf8|too_deep|too_many_keys)/
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        changes => {
          const changed = Buffer.from(bytes)
          for (const [at, byte] of changes) changed[at] = byte
          const result = outcome(changed)
          if (typeof result === 'string') expect(result).toMatch(codes)
          else expect(ocsfErrors(JSON.parse(JSON.stringify(result)))).toEqual([])
        },
      ),
      { numRuns: 2000 },
    )
  })
})
