import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Delivery, Source } from '../../engine/contract.ts'
import type { FakeClock } from '../support/clock.ts'
import { abandoned, type Bench, bench, committed, dies, readAll } from './topic-bench.ts'

describe('the poison guard', () => {
  /** Runs processes that die when they see `killer`, each over the whole topic, until one survives. */
  async function deathsUntilThrough(b: Bench, killer: bigint, unsettledAtOnce: number): Promise<number> {
    for (let deaths = 0; deaths < 40; deaths++) {
      const source = await b.open({ recordsMax: 50 })
      const open: Delivery[] = []
      const died = await (async () => {
        for (;;) {
          const stop = new AbortController()
          setTimeout(() => stop.abort(), open.length > 0 ? 20 : 200)
          const delivery = await source.read(stop.signal)
          if (delivery?.batch.some(event => event.origin?.position === killer)) return true
          if (delivery) open.push(delivery)
          while (open.length > (delivery ? unsettledAtOnce : 0)) open.shift()!.ack()
          if (!delivery && (await caughtUp(b, source))) return false
        }
      })()
      if (!died) {
        await source.close()
        return deaths
      }
      dies(source)
      await handOver(b)
    }
    throw new Error('the killer was never found')
  }

  async function caughtUp({ topics, deps }: Bench, source: Source): Promise<boolean> {
    await (deps.clock as FakeClock).advance(1000)
    const [lag] = await topics.lag()
    return source.positions!.committed(`${lag!.topic}/0`) === lag!.end
  }

  /** What a death leaves is the file; the group is taken from the dead without any goodbye. */
  async function handOver({ topics, name, deps }: Bench): Promise<void> {
    const folder = join(deps.stateFolder, 'attempts', `test-${name}`)
    const kept = readdirSync(folder).map(file => [join(folder, file), readFileSync(join(folder, file))] as const)
    const [before] = await topics.lag()
    for (const source of abandoned.splice(0)) await source.close()
    await topics.moveGroup('test', name, 0, before!.committed)
    for (const [path, bytes] of kept) writeFileSync(path, bytes)
  }

  it.each([
    ['settles each record at once', 0],
    ['settles with a delay, as a spooling sink', 30],
  ])('finds the record that kills the process and dead-letters it alone, where the sink %s', async (_, atOnce) => {
    const b = await bench(120)
    const deaths = await deathsUntilThrough(b, 77n, atOnce)
    expect(deaths).toBeGreaterThanOrEqual(5)
    expect(deaths).toBeLessThan(16)
    expect(b.deps.dead.map(({ reason, raw }) => [reason.split(':')[0], String(raw)])).toEqual([['poison', 'value-77']])
    expect(await committed(b.topics)).toEqual([120n])
    await b.topics.close()
  })

  it('suspects nothing while the process makes progress or stops in order', async () => {
    const b = await bench(200)
    for (let run = 0; run < 6; run++) {
      const source = await b.open({ recordsMax: 10 })
      const [first] = await readAll(source, 10)
      expect(first!.batch).toHaveLength(10)
      first!.ack()
      await (b.deps.clock as FakeClock).advance(1000)
      await expect.poll(() => committed(b.topics)).toEqual([BigInt(run * 10 + 10)])
      dies(source)
      await handOver(b)
    }
    for (let run = 0; run < 6; run++) {
      const source = await b.open({ recordsMax: 10 })
      const [first] = await readAll(source, 10)
      expect(first!.batch).toHaveLength(10)
      await source.close()
    }
    expect(b.deps.dead).toEqual([])
    await b.topics.close()
  })

  it('reads one event a batch after three deaths without progress, and many again after the stretch', async () => {
    const b = await bench(100)
    for (let run = 0; run < 3; run++) {
      const source = await b.open({ recordsMax: 20 })
      expect((await readAll(source, 40)).map(({ batch }) => batch.length)).toEqual([20, 20])
      dies(source)
      await handOver(b)
    }
    const source = await b.open({ recordsMax: 20 })
    const sizes = (await readAll(source, 100)).map(({ batch, ack }) => {
      ack()
      return batch.length
    })
    expect(sizes).toEqual([...Array.from({ length: 40 }, () => 1), 20, 20, 20])
    await source.close()
    const next = await b.open({ recordsMax: 20 })
    await next.close()
    expect(b.deps.dead).toEqual([])
    await b.topics.close()
  })

  it('takes an unreadable memory for none', async () => {
    const b = await bench(10)
    const source = await b.open()
    await readAll(source, 10)
    await source.close()
    const folder = join(b.deps.stateFolder, 'attempts', `test-${b.name}`)
    writeFileSync(join(folder, '0.json'), '{"began":"x')
    const next = await b.open()
    expect((await readAll(next, 10))[0]!.batch).toHaveLength(10)
    await next.close()
    await b.topics.close()
  })
})
