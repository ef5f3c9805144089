import { describe, expect, it } from 'vitest'
import { silentLog } from '../../platform/log.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { topic } from '../../sources/topic.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { recordOf } from '../topics/support.ts'
import { openTemporary } from '../topics/temporary.ts'
import { never } from './topic-bench.ts'

describe('stopping', () => {
  it('does not wait longer than 10 s for a position that cannot be stored, and leaves the group all the same', async () => {
    const { topics } = await openTemporary()
    let left = false
    let [commits, reads] = [0, 0]
    const away: Topics = {
      ensure: config => topics.ensure(config),
      append: (...rest) => topics.append(...rest),
      readCompacted: (name, wants) => topics.readCompacted(name, wants),
      lag: () => topics.lag(),
      close: () => topics.close(),
      subscribe({ listener }) {
        listener.assigned([{ topic: 't', partition: 0, offset: 0n, note: undefined }])
        const fetched = { topic: 't', partition: 0, records: [{ ...recordOf('k', '{}'), offset: 0n }] }
        return Promise.resolve({
          poll: () => Promise.resolve(reads++ === 0 ? fetched : undefined),
          commit: () => {
            commits++
            return new Promise<void>(() => undefined)
          },
          close: () => {
            left = true
            return Promise.resolve()
          },
        })
      },
    }
    const clock = new FakeClock()
    const warned: string[] = []
    const log = { ...silentLog, warn: (message: string) => void warned.push(message) }
    const deps = testDeps({ topics: () => Promise.resolve(away), clock, log })
    const source = await topic.open(topic.config.parse({ topic: 't', kind: 'waf' }), deps)
    ;(await source.read(never))!.ack()
    const closed = source.close()
    await clock.advance(9_000)
    expect([commits, left]).toEqual([1, false])
    await clock.advance(1_000)
    await closed
    expect(left).toBe(true)
    expect(warned.join()).toContain('could not be stored in time')
    await topics.close()
  })
})
