import { expect, test } from 'vitest'
import { attackOf, bodies, stamped } from '../../bench/response/traffic.ts'

interface Sent {
  readonly timestamp: number
  readonly httpRequest: { readonly requestId: string; readonly clientIp: string; readonly uri: string }
}
const recordsOf = (body: Buffer): readonly Sent[] =>
  body
    .toString()
    .split('\n')
    .map(line => JSON.parse(line) as Sent)

test('the same body sent again holds other records of the time it is sent at, and nothing else changes', () => {
  const [template] = bodies()
  const nowMs = Date.UTC(2026, 10, 24, 1, 2, 3)
  const [first, second] = [stamped(template!, nowMs), stamped(template!, nowMs + 5)].map(recordsOf)
  expect(first).toHaveLength(template!.records)
  expect(first!.every(({ timestamp }) => timestamp === nowMs)).toBe(true)
  expect(second!.every(({ timestamp }) => timestamp === nowMs + 5)).toBe(true)
  const ids = [...first!, ...second!].map(({ httpRequest }) => httpRequest.requestId)
  expect(new Set(ids).size).toBe(2 * template!.records)
  const rest = ({ timestamp: _, httpRequest: { requestId: __, ...request }, ...record }: Sent) => ({
    ...record,
    request,
  })
  expect(second!.map(rest)).toEqual(first!.map(rest))
})

test('an attack is of one address, and asks for files that must not be there', () => {
  const records = recordsOf(attackOf('45.148.10.1'))
  expect(new Set(records.map(({ httpRequest }) => httpRequest.clientIp))).toEqual(new Set(['45.148.10.1']))
  expect(records.map(({ httpRequest }) => httpRequest.uri)).toContain('/.git/config')
})
