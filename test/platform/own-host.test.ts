import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isOwnHost } from '../../platform/own-host.ts'

const names = new Set(['haetae.security.svc'])

test.each([
  'localhost',
  'LOCALHOST:7077',
  '127.0.0.1',
  '10.0.0.7:80',
  '[::1]:443',
  '[fd00::1]',
  'haetae.security.svc',
  'Haetae.Security.SVC:7077',
])('%s is ours', host => {
  expect(isOwnHost(host, names)).toBe(true)
})

test.each([
  '',
  'evil.example',
  'localhost.evil.example',
  'haetae.security.svc.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.1@evil.example',
  '127.0.0.1:80:80',
  '1.2.3',
  '[::1].evil.example',
  'evil.example:127.0.0.1',
  'localhost:123456',
])('%j is not', host => {
  expect(isOwnHost(host, names)).toBe(false)
})

test('no domain of somebody else is ours, with whatever port', () => {
  fc.assert(
    fc.property(fc.domain(), fc.option(fc.nat(65_535)), (domain, port) => {
      expect(isOwnHost(port === null ? domain : `${domain}:${port}`, names)).toBe(false)
    }),
  )
})
