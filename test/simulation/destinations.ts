import type { DeadLetter, Encoded, Sink, Verdict } from '../../engine/contract.ts'
import type { DeadLetterStore } from '../../engine/write.ts'
import type { Random } from '../support/random.ts'
import { Life } from './life.ts'
import type { World } from './world.ts'

/** What a destination refuses for good is a property of the record, not of the moment. */
export const fateOf = (record: Encoded): string => {
  const parsed: unknown = JSON.parse(record.event.raw.toString())
  return (parsed as { fate: string }).fate
}

const durable: Verdict = { retry: [], reject: [] }

/** Documents by id; writing one again must bring the same content. */
export class Documents {
  readonly byId = new Map<string, string>()
  readonly #world: World
  readonly #name: string

  constructor(world: World, name: string) {
    this.#world = world
    this.#name = name
  }

  put({ event, json }: Encoded): void {
    const known = this.byId.get(event.id)
    const content = json.toString()
    if (known !== undefined && known !== content) this.#world.violated(`${this.#name}: ${event.id} changed its content`)
    this.byId.set(event.id, content)
  }
}

/** Speaks as the bulk sink does: keeps by id, and is slow, overloaded, cut off before or after it stored, or silent. */
export function searchSink(world: World, life: Life): Sink {
  const random = world.random.fork()
  const { time } = world
  return {
    async write(records, signal) {
      await time.sleep(random.int(1, world.faults.slowMs), life)
      if (!life.alive) return Life.limbo
      if (random.chance(world.faults.write)) {
        const stored = random.chance(0.5) ? records.filter(each => fateOf(each) !== 'refused') : []
        for (const each of stored) world.search.put(each)
        if (random.chance(0.2)) await silence(signal, time.sleep(60_000, life))
        throw new Error('simulated: the connection was lost')
      }
      return verdictOf(records, random, world)
    },
    close: () => Promise.resolve(),
  }
}

function verdictOf(records: readonly Encoded[], random: Random, world: World): Verdict {
  const retry: number[] = []
  const reject: { index: number; reason: string }[] = []
  const overloaded = random.chance(world.faults.write)
  for (const [index, record] of records.entries()) {
    if (overloaded && random.chance(0.5)) retry.push(index)
    else if (fateOf(record) === 'refused') reject.push({ index, reason: 'mapping: simulated' })
    else world.search.put(record)
  }
  return { retry, reject, ...(overloaded && random.chance(0.3) ? { retryAfterMs: 2000 } : {}) }
}

async function silence(signal: AbortSignal, until: Promise<void>): Promise<void> {
  const aborted = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
  await Promise.race([aborted, until])
}

/** Holds records back in memory and promises them for later; now and then it loses them and breaks the promise. */
export function spoolingSink(world: World, life: Life): Sink {
  const random = world.random.fork()
  let held: { readonly records: readonly Encoded[]; readonly kept: PromiseWithResolvers<void> }[] = []
  const flush = async (): Promise<void> => {
    const group = held
    held = []
    await world.time.sleep(random.int(1, world.faults.slowMs), life)
    const lost = random.chance(world.faults.spool)
    if (lost) world.happened('spool lost')
    for (const { records, kept } of group) {
      if (lost) kept.reject(new Error('simulated: the spool was lost'))
      else for (const record of records) world.archive.put(record)
      kept.resolve()
    }
  }
  const drain = (): void => {
    if (held.length > 0) void flush()
  }
  return {
    write(records) {
      const kept = Promise.withResolvers<void>()
      if (!life.alive) return Life.limbo
      held.push({ records, kept })
      if (held.length === 1) world.time.after(random.int(100, 5000), drain, life)
      return Promise.resolve({ ...durable, later: kept.promise })
    },
    drain,
    close: () => Promise.resolve(),
  }
}

/** One pipeline's dead letter as one process sees it: durable across processes, full now and then. */
export function deadLetterOfLife(world: World, life: Life, letters: DeadLetter[]): DeadLetterStore {
  const random = world.random.fork()
  return {
    async write(written) {
      await world.time.sleep(random.int(1, 20), life)
      if (!life.alive) return Life.limbo
      const fails = random.chance(world.faults.deadLetter)
      if (!fails || random.chance(0.3)) letters.push(...written)
      if (fails) world.happened('dead letter full')
      if (fails) throw new Error('simulated: ENOSPC')
    },
  }
}

/** Keeps alerts by id, as whoever reads them does; slow, and cut off before or after it stored. */
export function alertSink(world: World, life: Life): Sink {
  const random = world.random.fork()
  return {
    async write(records) {
      await world.time.sleep(random.int(1, world.faults.slowMs), life)
      if (!life.alive) return Life.limbo
      const fails = random.chance(world.faults.write)
      if (!fails || random.chance(0.5)) {
        for (const each of records) {
          if (world.alerts.byId.has(each.event.id)) world.happened('alert again')
          world.alerts.put(each)
        }
      }
      if (fails) throw new Error('simulated: the connection was lost')
      return durable
    },
    close: () => Promise.resolve(),
  }
}
