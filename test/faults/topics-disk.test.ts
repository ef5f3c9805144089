import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { options, positionsAfter, recordOf, take, topicConfig } from '../topics/support.ts'
import { embeddedOptions } from '../topics/temporary.ts'
import { SET_RECORDS, setOf, TOPIC } from './topics-child.ts'
import { answered, endChildren, readSets, startOwner } from './topics-owner.ts'

afterEach(endChildren)

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

describe('a full disk', () => {
  const large = (count: number) => Array.from({ length: count }, (_, n) => recordOf(`k${n}`, 'x'.repeat(50_000)))

  it('refuses appends, still takes commits, loses nothing, and goes on when there is room: on the disk', async () => {
    const disk = mountSmallDisk(16 * 1024 ** 2)
    try {
      const given = embeddedOptions({ folder: join(disk.folder, 'topics'), bytesMax: 1024 ** 3 })
      const topics = await openEmbedded(given)
      const config = topicConfig({ partitions: 2 })
      await topics.ensure(config)
      const reading = options(config.name)
      const subscription = await topics.subscribe(reading)
      const ballast = join(disk.folder, 'ballast')
      let appended = 0
      let committed = 0
      for (let round = 0; round < 3; round++) {
        await topics.append(config.name, large(4))
        appended += 4
        const { bavail, bsize } = statfsSync(disk.folder)
        writeFileSync(ballast, Buffer.alloc(bavail * bsize - 200_000))
        let refused = 0
        for (let tries = 0; tries < 60; tries++) {
          await topics.append(config.name, large(4)).then(
            () => (appended += 4),
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'TOPIC_FULL' })
              refused++
            },
          )
        }
        expect(refused).toBeGreaterThan(10)
        expect(topics.full).toBe(true)
        const [fetched] = await take(subscription, 1)
        await subscription.commit(positionsAfter([fetched!], `note-${round}`))
        committed += fetched!.records.length
        rmSync(ballast)
        await topics.append(config.name, large(4))
        appended += 4
        expect(topics.full).toBe(false)
      }
      await topics.close()
      const again = await openEmbedded(given)
      const rest = await again.subscribe(reading)
      expect((await take(rest, appended - committed)).flatMap(({ records }) => records)).toHaveLength(
        appended - committed,
      )
      await again.close()
    } finally {
      disk.unmount()
    }
  })

  it('goes on when there is room in the log: consumers catch up, and what they committed is deleted', async () => {
    const disk = mountSmallDisk(12 * 1024 ** 2)
    try {
      const given = embeddedOptions({ folder: join(disk.folder, 'topics'), bytesMax: 1024 ** 3 })
      const topics = await openEmbedded(given)
      const config = topicConfig({ partitions: 2 })
      await topics.ensure(config)
      const subscription = await topics.subscribe(options(config.name))
      let appended = 0
      let read = 0
      for (let round = 0; round < 3; round++) {
        for (let full = false; !full; ) {
          full = await topics.append(config.name, large(4)).then(
            () => false,
            () => true,
          )
          if (!full) appended += 4
        }
        const fetched = await take(subscription, appended - read)
        read = appended
        await subscription.commit(positionsAfter(fetched))
        await expect
          .poll(
            async () => {
              await topics.maintain()
              return topics.append(config.name, large(4)).then(
                () => 'appended',
                (error: Error) => error.message,
              )
            },
            { timeout: 30_000 },
          )
          .toBe('appended')
        appended += 4
      }
      await topics.close()
      const again = await openEmbedded(given)
      expect((await again.lag()).reduce((sum, { committed, end }) => sum + Number(end - committed), 0)).toBe(
        appended - read,
      )
      await again.close()
    } finally {
      disk.unmount()
    }
  })

  it('outlives a disk that others fill and free again and again in between, and loses nothing', async () => {
    const disk = mountSmallDisk(48 * 1024 ** 2)
    try {
      const folder = join(disk.folder, 'topics')
      const given = embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 })
      const topics = await openEmbedded(given)
      await topics.ensure({ ...topicConfig({ partitions: 3 }), name: TOPIC })
      const untilMs = Date.now() + 12_000
      const stored = new Set<number>()
      let next = 0
      let refused = 0
      const appendInRow = async (): Promise<void> => {
        while (Date.now() < untilMs) {
          const set = next++
          await topics.append(TOPIC, setOf(set), `set-${set}`).then(
            () => stored.add(set),
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'TOPIC_FULL' })
              refused++
            },
          )
          await pause(1)
        }
      }
      const fill = async (): Promise<void> => {
        for (let round = 0; Date.now() < untilMs; round++) {
          const { bavail, bsize } = statfsSync(disk.folder)
          // To the last byte, so that the next page that LMDB needs is not there.
          try {
            writeFileSync(join(disk.folder, 'ballast'), Buffer.alloc(bavail * bsize))
          } catch {
            // The log was faster: the disk is as full as it can be.
          }
          await pause((round * 61) % 300)
          rmSync(join(disk.folder, 'ballast'))
          await pause((round * 37) % 200)
        }
      }
      await Promise.all([fill(), ...Array.from({ length: 8 }, appendInRow)])
      expect(stored.size).toBeGreaterThan(100)
      expect(refused).toBeGreaterThan(10)
      await topics.close()
      const again = await openEmbedded(given)
      const counts = await readSets(again)
      expect(new Set(counts.keys())).toEqual(stored)
      expect(new Set(counts.values())).toEqual(new Set([SET_RECORDS]))
      await again.close()
    } finally {
      disk.unmount()
    }
  })

  it('survives SIGKILL while it is full, at any moment', async () => {
    const disk = mountSmallDisk(6 * 1024 ** 2)
    try {
      const folder = join(disk.folder, 'topics')
      const all = new Set<number>()
      let first = 0
      for (let round = 0; round < 6; round++) {
        const child = startOwner(folder, 'append', first)
        await child.said(/^full/)
        await new Promise(resolve => setTimeout(resolve, (round * 53) % 200))
        await child.kill()
        for (const set of answered(child)) all.add(set)
        first = Math.max(0, Math.max(...all) - 5)
      }
      const topics = await openEmbedded(embeddedOptions({ folder, bytesMax: 256 * 1024 ** 2 }))
      const counts = await readSets(topics)
      expect(all.size).toBeGreaterThan(20)
      expect([...all].filter(set => counts.get(set) !== SET_RECORDS)).toEqual([])
      expect([...counts].filter(([, count]) => count !== SET_RECORDS)).toEqual([])
      await topics.close()
    } finally {
      disk.unmount()
    }
  })
})
