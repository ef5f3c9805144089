import { expect, test } from 'vitest'
import { orAborted } from '../../platform/or-aborted.ts'

const never = new Promise<never>(() => undefined)

test('what is waited for comes as it is, while nothing aborts', async () => {
  const { signal } = new AbortController()
  expect(await orAborted(Promise.resolve(1), signal)).toBe(1)
  await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
})

test('an abort ends the wait, also one from before it began', async () => {
  const stop = new AbortController()
  const waiting = orAborted(never, stop.signal)
  stop.abort()
  expect(await waiting).toBeUndefined()
  expect(await orAborted(never, stop.signal)).toBeUndefined()
}, 2_000)
