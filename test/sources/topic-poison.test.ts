import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Delivery, Source } from '../../engine/contract.ts'
import { silentLog } from '../../platform/log.ts'
import { PoisonGuard } from '../../sources/topic/poison.ts'
import type { FakeClock } from '../support/clock.ts'
import { abandoned, type Bench, bench, committed, dies, readAll } from './topic-bench.ts'

const DEATHS_MAX = 3

function guardIn(folder: string, deathsMax = DEATHS_MAX): PoisonGuard {
  return new PoisonGuard(folder, deathsMax, silentLog)
}

function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'haetae-poison-'))
}

/** A process that dies with these records of partition 0 in the stages. */
function death(folder: string, first: number, next: number, partition = 0): void {
  guardIn(folder).entering({ partition, first: BigInt(first), next: BigInt(next) })
}

function caution(folder: string, committedAt = 0, partition = 0): { singly: string | undefined; killers: number[] } {
  const copy = newFolder()
  cpSync(folder, copy, { recursive: true })
  const { singly, killers } = guardIn(copy).cautionOf(partition, BigInt(committedAt))
  return { singly: singly && `${singly.from}-${singly.to}`, killers: [...killers].map(Number) }
}

describe('what the poison guard concludes', () => {
  it('reads the records of one death singly, and takes for the killer who was alone in two more', () => {
    const folder = newFolder()
    expect(caution(folder)).toEqual({ singly: undefined, killers: [] })
    death(folder, 0, 50)
    expect(caution(folder)).toEqual({ singly: '0-50', killers: [] })
    death(folder, 7, 8)
    expect(caution(folder)).toEqual({ singly: '7-8', killers: [] })
    death(folder, 7, 8)
    expect(caution(folder)).toEqual({ singly: undefined, killers: [7] })
  })

  it('suspects who was in the stages of both of two deaths, whatever the bounds of the batches', () => {
    const folder = newFolder()
    death(folder, 100, 600)
    death(folder, 50, 550)
    expect(caution(folder).singly).toBe('100-550')
    death(folder, 0, 100)
    expect(caution(folder).singly).toBe('0-100')
  })

  it('suspects nobody who came through the stages since', () => {
    const folder = newFolder()
    death(folder, 0, 50)
    const next = guardIn(folder)
    next.entering({ partition: 0, first: 0n, next: 49n })()
    expect(caution(folder).singly).toBe('0-50')
    next.entering({ partition: 0, first: 49n, next: 80n })()
    expect(caution(folder).singly).toBeUndefined()
  })

  it('holds nothing against records when the process dies with empty stages, stops in order, or committed them', () => {
    const folder = newFolder()
    guardIn(folder).entering({ partition: 0, first: 0n, next: 50n })()
    expect(caution(folder)).toEqual({ singly: undefined, killers: [] })
    const orderly = guardIn(folder)
    orderly.entering({ partition: 0, first: 0n, next: 50n })
    orderly.close()
    expect(caution(folder)).toEqual({ singly: undefined, killers: [] })
    death(folder, 0, 50)
    expect(caution(folder, 49).singly).toBe('0-50')
    expect(caution(folder, 50).singly).toBeUndefined()
  })

  it('takes the word of the batch in the stages only, not of one before it', () => {
    const folder = newFolder()
    const guard = guardIn(folder)
    const cameThrough = guard.entering({ partition: 0, first: 0n, next: 10n })
    guard.entering({ partition: 0, first: 10n, next: 20n })
    cameThrough()
    expect(caution(folder).singly).toBe('10-20')
  })

  it('keeps partitions apart', () => {
    const folder = newFolder()
    death(folder, 0, 50, 3)
    death(folder, 0, 50, 4)
    guardIn(folder).entering({ partition: 3, first: 0n, next: 50n })()
    expect([caution(folder, 0, 3).singly, caution(folder, 0, 4).singly]).toEqual([undefined, '0-50'])
  })

  it('remembers killers until they are committed, and with a higher deathsMax waits for more deaths', () => {
    const folder = newFolder()
    for (const killer of [4, 9]) for (let n = 0; n < 3; n++) death(folder, killer, killer + 1)
    expect(caution(folder).killers).toEqual([4, 9])
    expect(caution(folder, 5).killers).toEqual([9])
    expect(caution(folder, 10).killers).toEqual([])
    const patient = newFolder()
    const singly: (string | undefined)[] = []
    for (let n = 0; n < 5; n++) {
      const guard = guardIn(patient, 5)
      const plan = guard.cautionOf(0, 0n)
      singly.push(plan.singly && `${plan.singly.from}-${plan.singly.to}`)
      guard.entering({ partition: 0, first: 0n, next: plan.singly ? 1n : 20n })
    }
    expect(singly).toEqual([undefined, undefined, undefined, '0-20', '0-1'])
    expect([...guardIn(patient, 5).cautionOf(0, 0n).killers]).toEqual([0n])
  })

  it('takes an unreadable memory for none, and works on', () => {
    const folder = newFolder()
    death(folder, 0, 50)
    caution(folder)
    for (const torn of ['', '0 0', '0 0 x', '{"0":', 'x'.repeat(100)]) {
      writeFileSync(join(folder, 'in-stages'), torn)
      writeFileSync(join(folder, 'suspects.json'), torn)
      expect(caution(folder)).toEqual({ singly: undefined, killers: [] })
    }
    death(folder, 0, 50)
    expect(caution(folder).singly).toBe('0-50')
  })

  it('accuses nobody and stops nothing when its folder is gone', () => {
    const folder = newFolder()
    const guard = guardIn(folder)
    guard.close()
    rmSync(folder, { recursive: true })
    const cameThrough = guard.entering({ partition: 0, first: 0n, next: 5n })
    cameThrough()
    guard.close()
    expect(existsSync(folder)).toBe(false)
  })

  it('keeps its notes from other users', () => {
    const folder = join(newFolder(), 'guard')
    death(folder, 0, 50)
    guardIn(folder)
    const modes = ['.', 'in-stages', 'suspects.json'].map(name => statSync(join(folder, name)).mode & 0o777)
    expect(modes).toEqual([0o700, 0o600, 0o600])
  })

  it('always finds killers, never anybody else, whatever the batches and kills from outside at other moments', () => {
    const life = fc.record({
      batch: fc.integer({ min: 1, max: 40 }),
      rewind: fc.integer({ min: 0, max: 60 }),
      /** After so many batches the process is killed while nothing is in the stages. */
      killedAfter: fc.integer({ min: 0, max: 30 }),
    })
    const lives = fc.array(life, { minLength: 60, maxLength: 60 })
    const records = fc.uniqueArray(fc.integer({ min: 0, max: 199 }), { maxLength: 4 })
    fc.assert(
      fc.property(lives, records, (runs, killers) => {
        const folder = newFolder()
        let at = 0
        let deaths = 0
        const found = new Set<number>()
        for (const { batch, rewind, killedAfter } of runs) {
          const begin = Math.max(0, at - rewind)
          const result = liveOnce(folder, { begin, batch, killers, batchesMax: killedAfter })
          for (const each of result.found) found.add(each)
          at = result.end
          if (result.died) deaths++
        }
        expect([...found].filter(each => !killers.includes(each))).toEqual([])
        // Each costs three deaths, and a few more where the suspicion fell on a killer's neighbours first.
        expect(deaths).toBeLessThanOrEqual(killers.length * 9)
        const last = liveOnce(folder, { begin: 0, batch: 40, killers: [], batchesMax: 1_000 })
        expect(last.died).toBe(false)
        rmSync(folder, { recursive: true })
      }),
      { numRuns: 60 },
    )
  })
})

/** One process over offsets `begin` to 200, reading as the source does. */
function liveOnce(
  folder: string,
  { begin, batch, killers, batchesMax }: { begin: number; batch: number; killers: number[]; batchesMax: number },
): { died: boolean; end: number; found: number[] } {
  const guard = guardIn(folder)
  const plan = guard.cautionOf(0, BigInt(begin))
  const found = [...plan.killers].map(Number)
  let at = begin
  for (let batches = 0; at < 200 && batches < batchesMax; batches++) {
    const singly = plan.singly
    let next = Math.min(200, at + batch)
    if (singly && at < singly.to) next = at >= singly.from ? at + 1 : Math.min(next, Number(singly.from))
    const cameThrough = guard.entering({ partition: 0, first: BigInt(at), next: BigInt(next) })
    for (let n = at; n < next; n++) if (killers.includes(n) && !found.includes(n)) return { died: true, end: at, found }
    cameThrough()
    at = next
  }
  return { died: false, end: at, found }
}

describe('the topic source under the poison guard', () => {
  /** What a death leaves is the guard's folder; the group is taken from the dead without any goodbye. */
  async function handOver({ topics, name, deps }: Bench): Promise<void> {
    const folder = join(deps.stateFolder, 'poison', `test-${name}`)
    const kept = newFolder()
    cpSync(folder, kept, { recursive: true })
    const [before] = await topics.lag()
    for (const source of abandoned.splice(0)) await source.close()
    await topics.moveGroup('test', name, 0, before!.committed)
    cpSync(kept, folder, { recursive: true })
  }

  /** Runs processes that die when their stages see `killer`, each over the whole topic, until one survives. */
  async function deathsUntilThrough(b: Bench, killer: bigint, unsettled: number): Promise<number> {
    for (let deaths = 0; deaths < 10; deaths++) {
      const source = await b.open({ recordsMax: 50 })
      if (!(await diesOver(source, b, killer, unsettled))) {
        await source.close()
        return deaths
      }
      dies(source)
      await handOver(b)
    }
    throw new Error('the killer was never found')
  }

  async function diesOver(source: Source, b: Bench, killer: bigint, unsettled: number): Promise<boolean> {
    const open: Delivery[] = []
    for (;;) {
      const stop = new AbortController()
      setTimeout(() => stop.abort(), 200)
      const delivery = await source.read(stop.signal)
      if (delivery?.batch.some(event => event.origin?.position === killer)) return true
      delivery?.staged?.()
      if (delivery) open.push(delivery)
      while (open.length > (delivery ? unsettled : 0)) open.shift()!.ack()
      await (b.deps.clock as FakeClock).advance(1000)
      if (!delivery) return false
    }
  }

  it.each([
    ['settles each record at once', 0],
    ['settles nothing before the end, as a spooling sink', 1_000],
  ])('dead-letters the record that kills after three deaths, where the sink %s', async (_, unsettled) => {
    const b = await bench(120)
    expect(await deathsUntilThrough(b, 77n, unsettled)).toBe(3)
    expect(b.deps.dead.map(({ reason, raw }) => [reason.split(':')[0], String(raw)])).toEqual([['poison', 'value-77']])
    expect(await committed(b.topics)).toEqual([120n])
    await b.topics.close()
  })

  it('suspects nothing when processes die again and again over records that came through the stages', async () => {
    const b = await bench(200)
    for (let run = 0; run < 6; run++) {
      const source = await b.open({ recordsMax: 10 })
      const [, , third] = await readAll(source, 30)
      expect(third!.batch).toHaveLength(10)
      third!.staged!()
      dies(source)
      await handOver(b)
    }
    expect(b.deps.dead).toEqual([])
    await b.topics.close()
  })

  it('takes the next read for the word that the batch before came through', async () => {
    const b = await bench(20)
    const source = await b.open({ recordsMax: 10 })
    await readAll(source, 10)
    const stop = new AbortController()
    await readAll(source, 10)
    const reading = source.read(stop.signal)
    const mark = join(b.deps.stateFolder, 'poison', `test-${b.name}`, 'in-stages')
    expect(readFileSync(mark, 'utf8').trim()).toBe('-')
    stop.abort()
    await reading
    await source.close()
    await b.topics.close()
  })

  it('reads one event a batch from the first suspect to the last, and many before and after', async () => {
    const b = await bench(100)
    const source = await b.open({ recordsMax: 20 })
    await readAll(source, 60)
    dies(source)
    await handOver(b)
    const next = await b.open({ recordsMax: 30 })
    const sizes = (await readAll(next, 100)).map(({ batch }) => batch.length)
    expect(sizes).toEqual([30, 10, ...Array.from({ length: 20 }, () => 1), 30, 10])
    await next.close()
    expect(b.deps.dead).toEqual([])
    await b.topics.close()
  })
})
