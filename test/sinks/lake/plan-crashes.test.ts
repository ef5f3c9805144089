import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { trackOffsets } from '../../../engine/checkpoint.ts'
import { type Range, RangePlan } from '../../../sinks/ranges/plan.ts'

/**
 * A small model of everything around the planner: a stream with gaps, a source that reads it in batches and commits the
 * acknowledged prefix, objects that are written once. The process may die between any two steps.
 */
const END = 60n
/** Not every position has a record, and not every record reaches the sink. */
const positions = Array.from({ length: Number(END) }, (_, at) => BigInt(at)).filter(at => at % 7n !== 5n)
const isDropped = (position: bigint): boolean => position % 11n === 3n

interface Durable {
  committed: bigint
  note: string | undefined
  readonly objects: Map<string, readonly bigint[]>
}

/** What a faulty sink would do differently. */
interface Plant {
  /** The note the next process sees. */
  readonly read?: (note: string | undefined) => string | undefined
  /** The note that is stored. */
  readonly written?: (note: string, ranges: readonly Range[]) => string | undefined
  readonly acksEarly?: boolean
}

type Step = 'read' | 'seal' | 'flush' | 'commit'
const step = fc.record({
  what: fc.constantFrom<Step>('read', 'read', 'seal', 'flush', 'flush', 'flush', 'commit'),
  size: fc.integer({ min: 1, max: 9 }),
})
const lives = fc.array(fc.array(step, { minLength: 10, maxLength: 60 }), { maxLength: 5 })

interface Delivery {
  readonly ack: () => void
  open: number
}
interface Filling {
  readonly records: bigint[]
  readonly deliveries: Set<Delivery>
}
interface Flush {
  readonly name: string
  readonly content: readonly bigint[]
}

class Life {
  readonly #durable: Durable
  readonly #plant: Plant
  readonly #plan: RangePlan
  readonly #checkpoint = trackOffsets()
  readonly #filling = new Map<bigint, Filling>()
  /** Steps towards durability, one at a time: a note, an object, the acks. */
  readonly #todo: (() => void)[] = []
  #next: number

  constructor(durable: Durable, plant: Plant) {
    this.#durable = durable
    this.#plant = plant
    this.#plan = new RangePlan(plant.read ? plant.read(durable.note) : durable.note, durable.committed, 'a1')
    this.#next = positions.findIndex(position => position >= durable.committed)
    if (this.#next < 0) this.#next = positions.length
  }

  get isIdle(): boolean {
    return this.#next >= positions.length && this.#todo.length === 0 && this.#filling.size === 0
  }

  do({ what, size }: { readonly what: Step; readonly size: number }): void {
    if (what === 'read') this.#read(size)
    else if (what === 'commit') this.#commit()
    else if (what === 'flush') this.#todo.shift()?.()
    else if (this.#plan.hasRoom(this.#durable.committed)) {
      const range = this.#plan.seal()
      if (range) this.#done([range])
    }
  }

  #read(size: number): void {
    const batch = positions.slice(this.#next, this.#next + size)
    if (batch.length === 0) return
    this.#next += batch.length
    const tracked = this.#checkpoint.track(batch.at(-1)!)
    const delivery: Delivery = { open: 0, ack: () => tracked.ack() }
    const kept = batch.filter(position => !isDropped(position))
    const mine = new Set<Filling>()
    for (const position of kept) {
      const { first, done } = this.#plan.place(position)
      const filling = this.#filling.get(first) ?? { records: [], deliveries: new Set() }
      this.#filling.set(first, filling)
      filling.records.push(position)
      if (!mine.has(filling)) delivery.open++
      mine.add(filling)
      filling.deliveries.add(delivery)
      this.#done(done)
    }
    this.#done(this.#plan.complete())
    if (delivery.open === 0) delivery.ack()
  }

  #done(ranges: readonly Range[]): void {
    for (const range of ranges) {
      const filling = this.#filling.get(range.first)
      if (!filling) continue
      this.#filling.delete(range.first)
      const ack = (): void => {
        for (const delivery of filling.deliveries) if (--delivery.open === 0) delivery.ack()
      }
      if (this.#plant.acksEarly) ack()
      this.#todo.push(() => {
        const note = this.#plan.note(this.#durable.committed)
        this.#durable.note = this.#plant.written ? this.#plant.written(note, ranges) : note
      })
      for (const parity of [0n, 1n]) {
        const content = filling.records.filter(position => position % 2n === parity)
        if (content.length > 0) this.#todo.push(() => this.#put({ name: `${range.first}/${parity}`, content }))
      }
      if (!this.#plant.acksEarly) this.#todo.push(ack)
    }
  }

  #put({ name, content }: Flush): void {
    const there = this.#durable.objects.get(name)
    if (!there) this.#durable.objects.set(name, content)
    // What was committed is not read again; everything else must be the same.
    else expect(there.filter(position => position >= content[0]!)).toEqual(content)
  }

  #commit(): void {
    const last = this.#checkpoint.committable()
    if (last !== undefined) this.#durable.committed = last + 1n
  }
}

/** Lives one after the other, each ending in a crash, and a last one that is left in peace. */
function live(
  crashes: readonly (readonly { readonly what: Step; readonly size: number }[])[],
  plant: Plant = {},
): void {
  const durable: Durable = { committed: 0n, note: undefined, objects: new Map() }
  for (const steps of crashes) {
    const life = new Life(durable, plant)
    for (const each of steps) life.do(each)
    check(durable, durable.committed)
  }
  const last = new Life(durable, plant)
  for (let turn = 0; !last.isIdle; turn++) {
    if (turn > 10_000) throw new Error('the last life never comes to an end')
    last.do({ what: 'read', size: 3 })
    last.do({ what: 'seal', size: 0 })
    for (let flush = 0; flush < 4; flush++) last.do({ what: 'flush', size: 0 })
    last.do({ what: 'commit', size: 0 })
  }
  last.do({ what: 'commit', size: 0 })
  check(durable, END)
  expect(durable.committed).toBe(positions.at(-1)! + 1n)
}

/** Every record below `committed` that reached the sink is in exactly one object, and none is in two. */
function check({ objects }: Durable, committed: bigint): void {
  const stored = [...objects.values()].flat()
  expect(new Set(stored).size).toBe(stored.length)
  const missing = positions.filter(at => at < committed && !isDropped(at) && !stored.includes(at))
  expect(missing).toEqual([])
}

const RUNS = { numRuns: 1000, seed: 20_261_124 }

describe('lives that end in crashes', () => {
  it('every committed record is in exactly one object, and no object ever has two contents', () => {
    fc.assert(
      fc.property(lives, crashes => live(crashes)),
      RUNS,
    )
  })

  const plants: Record<string, Plant> = {
    'a range is not filled again from its note': { read: () => undefined },
    'the note is never written': { written: () => undefined },
    'the end of a range is not in the note': {
      written: note => note.replace(/\["(\d+)","\d+"\]/g, (_, first: string) => `["${first}","${BigInt(first) + 1n}"]`),
    },
    'only the newest range is in the note': {
      written: (_, ranges) =>
        JSON.stringify({ ranges: ranges.map(({ first, end }) => [`${first}`, `${end}`]).slice(-1) }),
    },
    'records are acknowledged before their objects': { acksEarly: true },
  }
  it.each(Object.entries(plants))('a planted fault is caught: %s', (_name, plant) => {
    const { failed } = fc.check(
      fc.property(lives, crashes => live(crashes, plant)),
      RUNS,
    )
    expect(failed).toBe(true)
  })
})
