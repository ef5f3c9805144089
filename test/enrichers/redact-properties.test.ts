import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { encodedOf } from '../support/deps.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { parsed, redacted, requestOf } from '../support/redact.ts'
import { wafRequest } from '../support/waf-records.ts'

describe('whatever else the record says', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
  const secrets = fc
    .array(fc.constantFrom(...letters.split('')), { minLength: 8, maxLength: 30 })
    .map(chars => `hush${chars.join('')}`)
  const anyCase = (name: string): fc.Arbitrary<string> =>
    fc
      .array(fc.boolean(), { minLength: name.length, maxLength: name.length })
      .map(upper => Array.from(name, (char, at) => (upper[at] ? char.toUpperCase() : char)).join(''))
  const headerNames = fc.constantFrom('authorization', 'cookie', 'set-cookie', 'x-api-key').chain(anyCase)
  const parameterNames = fc.constantFrom('token', 'access_token', 'password', 'api-key', 'jsessionid').chain(anyCase)
  /** The name with some of its characters percent-encoded, perhaps twice. */
  const encodedNames = fc
    .tuple(parameterNames, fc.nat(), fc.constantFrom('', '%', '%25'))
    .map(([name, at, percent]) => {
      const place = at % name.length
      const hex = name.charCodeAt(place).toString(16)
      return percent === '' ? name : `${name.slice(0, place)}${percent}${hex}${name.slice(place + 1)}`
    })
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('', '=', '%', '\\', '"', 'eyJ', '해태🦁'),
  )

  it('no planted secret is left in what a sink gets, and the neighbours stay', () => {
    const planted = fc.record({
      secret: secrets,
      name: headerNames,
      parameter: encodedNames,
      noise,
      look: fc.boolean(),
    })
    fc.assert(
      fc.property(planted, ({ secret, name, parameter, noise: around, look }) => {
        const event = parsed(
          wafRequest({
            args: `q=${around}&${parameter}=${secret}&page=2`,
            uri: `/${around}/eyJ${secret}.${secret}.${secret}`,
            headers: [
              { name, value: `${around}${secret}` },
              { name: 'Referer', value: `https://shop.example/?${parameter}=${secret}&page=2` },
              { name: 'Accept', value: 'text/html' },
            ],
          }),
        )
        const raw = Buffer.from(event.raw)
        if (look) expect(requestOf(event.body as JsonObject)['http_method']).toBe('POST')
        const body = redacted(event)
        expect(encodedOf(event).json.toString()).not.toContain(secret)
        expect(requestOf(body)['args']).toMatch(/&page=2$/)
        expect((requestOf(body)['http_headers'] as JsonObject[])[2]).toEqual({ name: 'Accept', value: 'text/html' })
        expect(event.raw.equals(raw)).toBe(true)
        expect(ocsfErrors(body)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })
})
