import { expect, test } from 'vitest'
import { SharedTopics } from '../../pipelines/shared-topics.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { GroupLag, Topics } from '../../platform/topics/contract.ts'

const lag: readonly GroupLag[] = [{ group: 'waf', topic: 'events.waf', partition: 0, committed: 1n, end: 3n }]
const away = () => new HaetaeError('TOPIC_UNREACHABLE', 'no broker answers')

/** Topics that can be asked for their lag and be closed; the first tries to open them fail. */
function opener(failures: readonly Error[] = []) {
  const waiting = [...failures]
  const seen = { opened: 0, closed: 0 }
  const topics = {
    lag: () => Promise.resolve(lag),
    close: () => {
      seen.closed++
      return Promise.resolve()
    },
  } as unknown as Topics
  const open = async (): Promise<Topics> => {
    seen.opened++
    const failure = waiting.shift()
    if (failure) throw failure
    return topics
  }
  return { seen, topics, shared: new SharedTopics(open) }
}

test('are opened once for everybody who asks', async () => {
  const { seen, shared, topics } = opener()
  expect(await Promise.all([shared.get(), shared.get()])).toEqual([topics, topics])
  expect(await shared.get()).toBe(topics)
  expect(seen.opened).toBe(1)
})

test('that could not be opened are tried anew by the next who asks; who asked together learns the same', async () => {
  const { seen, shared, topics } = opener([away(), away()])
  const together = await Promise.allSettled([shared.get(), shared.get()])
  expect(together.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(seen.opened).toBe(1)
  await expect(shared.get()).rejects.toMatchObject({ code: 'TOPIC_UNREACHABLE' })
  expect(await shared.get()).toBe(topics)
})

test('say what waits only once they are open, and are not opened for it', async () => {
  const { seen, shared } = opener()
  expect(await shared.lag()).toEqual([])
  expect(seen.opened).toBe(0)
  await shared.get()
  expect(await shared.lag()).toEqual(lag)
})

test('are closed when they are open or just being opened, and closing what never was is fine', async () => {
  const never = opener()
  await never.shared.close()
  expect(never.seen).toEqual({ opened: 0, closed: 0 })

  const opening = opener()
  const got = opening.shared.get()
  await opening.shared.close()
  await got
  expect(opening.seen).toEqual({ opened: 1, closed: 1 })

  const failing = opener([away()])
  const failed = failing.shared.get().catch(() => 'failed')
  await failing.shared.close()
  expect(await failed).toBe('failed')
  expect(failing.seen.closed).toBe(0)
})
