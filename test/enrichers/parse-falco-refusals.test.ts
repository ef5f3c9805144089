import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseFalco } from '../../enrichers/parse-falco.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { alertsOfEveryKind as everyKind, falcoAlert } from '../support/falco-alerts.ts'
import { junk, placesOf, replaced } from '../support/mutate.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { parser } from '../support/parse.ts'

const stage = await parseFalco.open(parseFalco.config.parse({}), testDeps({ clock: new FakeClock() }))
const { outcome, mapped } = parser(stage, 'falco')

describe('refused with a reason', () => {
  it.each<readonly [string, unknown, RegExp]>([
    ['no JSON', '{"rule":', /^not_json/],
    ['invalid UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), /^invalid_utf8$/],
    ['no object', '[1]', /^not_falco/],
    ['no rule', falcoAlert({ rule: 5 }), /^not_falco/],
    ['no output at all', { rule: 'r', priority: 'Error', time: '2026-11-23T04:00:00Z' }, /^not_falco/],
    ['a GuardDuty finding', { id: 'a', type: 'Recon:EC2/Portscan' }, /^not_falco/],
    ['no time', falcoAlert({ time: null }), /^time_out_of_range/],
    ['a number for a time', falcoAlert({ time: 1_763_870_400 }), /^time_out_of_range/],
    ['before 1970', falcoAlert({ time: '1969-12-31T23:59:59Z' }), /^time_out_of_range/],
    ['1970', falcoAlert({ time: '1970-01-01T00:00:00Z' }), /^time_out_of_range/],
    ['the end of 2016', falcoAlert({ time: '2016-12-31T23:59:59.999Z' }), /^time_out_of_range: before 2017/],
    ['more than a day ahead', falcoAlert({ time: '2026-11-25T00:00:01Z' }), /^time_out_of_range/],
    ['too deep', `${'['.repeat(65)}${']'.repeat(65)}`, /^too_deep/],
    [
      'too many keys',
      { ...falcoAlert(), extra: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`k${i}`, i])) },
      /^too_many_keys/,
    ],
    ['over 1 MiB', falcoAlert({ output: 'x'.repeat(1_048_600) }), /^oversize/],
  ])('%s', (_name, record, reason) => {
    expect(outcome(record)).toMatch(reason)
  })
})

describe('nothing is lost and nothing is trusted', () => {
  const kinds = Object.values(everyKind).map(record => ({ record, places: placesOf(record) }))

  it('a text in any place is in the event, under OCSF or in unmapped', () => {
    for (const { record, places } of kinds) {
      for (const place of places) {
        const result = outcome(replaced(record, place, 'Marker-7F3A'))
        const found = typeof result === 'string' ? place[0] === 'time' : JSON.stringify(result).includes('Marker-7F3A')
        expect({ place, found }).toEqual({ place, found: true })
      }
    }
  })

  it('whatever single value is replaced by whatever else, the outcome is valid OCSF or a refusal', () => {
    const anyPlace = fc.tuple(fc.nat(kinds.length - 1), fc.nat())
    fc.assert(
      fc.property(anyPlace, junk, ([kind, nth], by) => {
        const { record, places } = kinds[kind]!
        const result = outcome(replaced(record, places[nth % places.length]!, by))
        if (typeof result === 'string') expect(result).toMatch(/^(not_falco|time_out_of_range)/)
        else expect(ocsfErrors(JSON.parse(JSON.stringify(result)))).toEqual([])
      }),
      { numRuns: 3000 },
    )
  })

  it('prototype keys in the output fields do no harm and do not vanish', () => {
    const raw = JSON.stringify(falcoAlert()).replace(
      '"output_fields":{',
      '"output_fields":{"__proto__":{"x":1},"prototype":2,',
    )
    expect(mapped(raw).unmapped?.['prototype_keys']).toEqual({
      '$.output_fields.__proto__': '{"x":1}',
      '$.output_fields.prototype': '2',
    })
  })
})
