import { describe, expect, it } from 'vitest'
import type { Fetched } from '../../platform/topics/contract.ts'
import type { Contract } from './contract.ts'
import { nothingMore, numbered, options, positionsAfter, take, valuesOf, watch } from './support.ts'

export function groupPromises({ topics: opened, topicWith }: Contract): void {
  describe('groups', () => {
    it('goes on at the committed offset with its note, and reads again what was not committed', async () => {
      const topic = await topicWith(numbered(20), { partitions: 1 })
      const group = options(topic).group
      const first = await opened().subscribe(options(topic, { group, recordsMax: 10 }))
      const read = await take(first, 10)
      await first.commit([{ topic, partition: 0, offset: 4n, note: 'range ends at 9' }])
      expect(valuesOf(read)).toHaveLength(10)
      await first.close()

      const listener = watch()
      const second = await opened().subscribe(options(topic, { group, listener }))
      const again = await take(second, 16)
      expect(valuesOf(again)[0]).toBe('value-4')
      expect(listener.positions.get(`${topic}/0`)).toMatchObject({ offset: 4n, note: 'range ends at 9' })
      await second.commit(positionsAfter(again))
      await second.close()

      const last = watch()
      const third = await opened().subscribe(options(topic, { group, listener: last }))
      await nothingMore(third)
      expect(last.positions.get(`${topic}/0`)).toMatchObject({ offset: 20n })
      expect(last.positions.get(`${topic}/0`)?.note).toBeUndefined()
      await third.close()
    })

    it('keeps groups apart', async () => {
      const topic = await topicWith(numbered(10))
      const one = await opened().subscribe(options(topic))
      const two = await opened().subscribe(options(topic))
      await one.commit(positionsAfter(await take(one, 10)))
      expect(valuesOf(await take(two, 10))).toHaveLength(10)
      await Promise.all([one.close(), two.close()])
    })

    it('shares the partitions of a group, each with one subscription, and takes them back when one leaves', async () => {
      const topic = await topicWith([])
      const group = options(topic).group
      const [a, b] = [watch(), watch()]
      const first = await opened().subscribe(options(topic, { group, listener: a }))
      const polling = new AbortController()
      const second = await opened().subscribe(options(topic, { group, listener: b }))
      // Kafka hands partitions over while its members poll.
      const seen: Fetched[] = []
      const drains = [first, second].map(async subscription => {
        for (;;) {
          const fetched = await subscription.poll(polling.signal)
          if (!fetched) return
          seen.push(fetched)
          await subscription.commit(positionsAfter([fetched]))
        }
      })
      await expect.poll(() => a.positions.size * b.positions.size, { timeout: 30_000 }).toBe(4)
      await opened().append(topic, numbered(100))
      await expect.poll(() => valuesOf(seen).length, { timeout: 30_000 }).toBe(100)
      expect(new Set(valuesOf(seen)).size).toBe(100)
      expect([...a.positions.keys(), ...b.positions.keys()].sort()).toEqual([0, 1, 2, 3].map(p => `${topic}/${p}`))
      polling.abort()
      await Promise.all(drains)

      await second.close()
      expect(b.positions.size).toBe(0)
      await expect.poll(() => a.positions.size, { timeout: 30_000 }).toBe(4)
      await opened().append(topic, numbered(100, 100))
      expect(new Set(valuesOf(await take(first, 100))).size).toBe(100)
      await first.close()
    })

    it('rejects a commit for a partition that was taken away, and the new owner begins where the old one committed', async () => {
      const topic = await topicWith(numbered(40), { partitions: 2 })
      const group = options(topic).group
      const [a, b] = [watch(), watch()]
      const first = await opened().subscribe(options(topic, { group, listener: a }))
      const read = await take(first, 40)
      const committed = positionsAfter(read).map(position => ({
        ...position,
        offset: position.offset - 3n,
        note: 'mine',
      }))
      await first.commit(committed)
      const polling = new AbortController()
      const idle = first.poll(polling.signal)
      const second = await opened().subscribe(options(topic, { group, listener: b }))
      const reads = take(second, 3)
      await expect.poll(() => b.positions.size, { timeout: 30_000 }).toBe(1)
      const [taken] = b.positions.values()
      expect(taken).toMatchObject({
        note: 'mine',
        offset: committed.find(p => p.partition === taken!.partition)!.offset,
      })
      expect(a.told).toContain(`-${taken!.partition}`)
      polling.abort()
      await idle
      await expect(
        first.commit(positionsAfter(read).filter(p => p.partition === taken!.partition)),
      ).rejects.toMatchObject({
        code: 'STREAM_REVOKED',
      })
      expect((await reads).every(({ partition }) => partition === taken!.partition)).toBe(true)
      await Promise.all([first.close(), second.close()])
    })

    it('tells the listener of the revocation when a subscription closes, and rejects its commits from then on', async () => {
      const topic = await topicWith(numbered(4), { partitions: 1 })
      const listener = watch()
      const subscription = await opened().subscribe(options(topic, { listener }))
      const read = await take(subscription, 4)
      await subscription.close()
      expect(listener.told).toEqual(['+0', '-0'])
      await expect(subscription.commit(positionsAfter(read))).rejects.toMatchObject({ code: 'STREAM_REVOKED' })
    })

    it('says how far each group is behind', async () => {
      const topic = await topicWith(numbered(10), { partitions: 1 })
      const { group, ...rest } = options(topic)
      const subscription = await opened().subscribe({ group, ...rest })
      await take(subscription, 10)
      await subscription.commit([{ topic, partition: 0, offset: 6n, note: undefined }])
      const mine = (await opened().lag()).filter(lag => lag.group === group)
      expect(mine).toEqual([{ group, topic, partition: 0, committed: 6n, end: 10n }])
      await subscription.close()
    })
  })
}
