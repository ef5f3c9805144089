import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { Room } from '../../engine/room.ts'

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

async function isWaiting(wait: Promise<void>): Promise<boolean> {
  let waiting = true
  void wait.then(() => {
    waiting = false
  })
  await settle()
  return waiting
}

test('there is room until the count of deliveries is reached, and again when one leaves', async () => {
  const room = new Room(2, 1000, new AbortController().signal)
  room.enter(1)
  expect(await isWaiting(room.wait())).toBe(false)
  room.enter(1)
  const wait = room.wait()
  expect(await isWaiting(wait)).toBe(true)
  room.leave(1)
  expect(await isWaiting(wait)).toBe(false)
})

test('bytes are a bound of their own: the wait ends only when they fall below it', async () => {
  const room = new Room(10, 1000, new AbortController().signal)
  room.enter(700)
  expect(await isWaiting(room.wait())).toBe(false)
  room.enter(700)
  const wait = room.wait()
  expect(await isWaiting(wait)).toBe(true)
  room.leave(700)
  expect(await isWaiting(wait)).toBe(false)
})

test('one delivery larger than the whole bound is let in when nothing else is there', async () => {
  const room = new Room(10, 1000, new AbortController().signal)
  expect(await isWaiting(room.wait())).toBe(false)
  room.enter(5000)
  const wait = room.wait()
  expect(await isWaiting(wait)).toBe(true)
  room.leave(5000)
  expect(await isWaiting(wait)).toBe(false)
})

test('a stop ends the wait, and later waits end at once', async () => {
  const stop = new AbortController()
  const room = new Room(1, 1, stop.signal)
  room.enter(1)
  const wait = room.wait()
  expect(await isWaiting(wait)).toBe(true)
  stop.abort()
  expect(await isWaiting(wait)).toBe(false)
  expect(await isWaiting(room.wait())).toBe(false)
})

test('waiting leaves no listener behind', async () => {
  const stop = new AbortController()
  const room = new Room(1, 1, stop.signal)
  for (let turn = 0; turn < 1000; turn++) {
    room.enter(1)
    const wait = room.wait()
    room.leave(1)
    await wait
  }
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1)
})
