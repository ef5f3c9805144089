import type { DeadLetter, Deps, Encoded, Positions, Sink } from '../../engine/contract.ts'
import { deadLetterOf } from '../../engine/dead-letter.ts'
import { hasCode } from '../../platform/errors.ts'
import { type Range, RangePlan } from '../../sinks/ranges/plan.ts'
import type { Random } from '../support/random.ts'
import { fateOf } from './destinations.ts'
import { Life } from './life.ts'
import type { World } from './world.ts'

export interface Row {
  readonly stream: string
  readonly position: bigint
  readonly content: string
}

/** Objects by name; a name is written once, and a second try finds it there (412). Rows by event id. */
export class Objects {
  readonly byName = new Map<string, ReadonlyMap<string, Row>>()
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  put(name: string, rows: ReadonlyMap<string, Row>): void {
    const there = this.byName.get(name)
    if (!there) {
      this.byName.set(name, rows)
      return
    }
    this.#world.happened('object made again')
    for (const [id, { content }] of rows) {
      if (there.get(id)?.content !== content) this.#world.violated(`lake: ${name} is there without ${id} as it is now`)
    }
    for (const [id, row] of there) {
      if (!rows.has(id) && !this.#excused(row)) this.#world.violated(`lake: ${name} would be without ${id} now`)
    }
  }

  /** A row may be missing when an object is made again after it was committed: the object was there, and is not read whole. */
  #excused({ stream, position }: Row): boolean {
    return position < this.#world.position('lake', stream)
  }
}

interface Held {
  readonly range: Range
  readonly records: Encoded[]
  readonly kept: PromiseWithResolvers<void>
}

interface OpenStream {
  readonly name: string
  readonly plan: RangePlan
  /** By first position. */
  readonly held: Map<bigint, { readonly records: Encoded[]; readonly kept: PromiseWithResolvers<void> }>
  revoked: boolean
}

/** The lake sink's protocol around the production planner: spool, note, objects, and only then the promise is kept. */
export class LakeSink implements Sink {
  readonly #world: World
  readonly #life: Life
  readonly #deps: Deps
  readonly #random: Random
  readonly #streams = new Map<string, OpenStream>()

  constructor(world: World, life: Life, deps: Deps) {
    this.#world = world
    this.#life = life
    this.#deps = deps
    this.#random = world.random.fork()
    deps.positions.onRevoked(names => {
      for (const name of names) this.#letGo(name)
    })
  }

  get #positions(): Positions {
    return this.#deps.positions
  }

  write(records: readonly Encoded[]): ReturnType<Sink['write']> {
    if (!this.#life.alive) return Life.limbo
    const promised = new Set<Promise<void>>()
    const streams = new Set<OpenStream>()
    for (const record of records) {
      const { stream: name, position } = record.event.origin!
      const stream = this.#stream(name)
      streams.add(stream)
      const { first, done } = stream.plan.place(position)
      const held = stream.held.get(first) ?? { records: [], kept: Promise.withResolvers<void>() }
      stream.held.set(first, held)
      held.records.push(record)
      promised.add(held.kept.promise)
      this.#flush(stream, done)
    }
    for (const stream of streams) {
      this.#flush(stream, stream.plan.complete())
      if (this.#random.chance(0.1)) this.#seal(stream)
    }
    const later = Promise.all(promised).then(() => undefined)
    return Promise.resolve({ retry: [], reject: [], later })
  }

  drain(): void {
    for (const stream of this.#streams.values()) this.#seal(stream)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #stream(name: string): OpenStream {
    const known = this.#streams.get(name)
    if (known) return known
    const plan = new RangePlan(this.#positions.note(name), this.#positions.committed(name), 'a1')
    const stream: OpenStream = { name, plan, held: new Map(), revoked: false }
    this.#streams.set(name, stream)
    this.#sealInTime(stream)
    return stream
  }

  #sealInTime(stream: OpenStream): void {
    const again = (): void => {
      if (stream.revoked) return
      this.#seal(stream)
      this.#sealInTime(stream)
    }
    this.#world.time.after(this.#random.int(500, 8000), again, this.#life)
  }

  #seal(stream: OpenStream): void {
    if (!stream.plan.hasRoom(this.#positions.committed(stream.name))) return
    const range = stream.plan.seal()
    if (range) this.#flush(stream, [range])
  }

  #flush(stream: OpenStream, ranges: readonly Range[]): void {
    for (const range of ranges) {
      const held = stream.held.get(range.first)
      stream.held.delete(range.first)
      if (held) void this.#write(stream, { range, ...held }).then(held.kept.resolve, held.kept.reject)
    }
  }

  async #write(stream: OpenStream, { range, records }: Held): Promise<void> {
    const { name, plan } = stream
    const noted = await this.#tried(stream, () =>
      this.#positions.setNote(name, plan.note(this.#positions.committed(name))),
    )
    if (!noted) return
    const bad = records.filter(record => fateOf(record) === 'unstorable')
    if (bad.length > 0) await this.#deps.deadLetter(bad.map(record => this.#letter(record)))
    const rows = records.filter(record => !bad.includes(record))
    for (const part of ['even', 'odd']) {
      const own = rows.filter(({ event }) => ((event.body.count ?? 0) % 2 === 0) === (part === 'even'))
      if (own.length > 0) await this.#tried(stream, () => this.#put(`${name}/${range.first}/${part}`, own))
    }
  }

  /** Until it works; false when the stream was taken from us. */
  async #tried(stream: OpenStream, work: () => Promise<void>): Promise<boolean> {
    for (;;) {
      if (stream.revoked) return false
      try {
        await work()
        return true
      } catch (thrown) {
        if (hasCode(thrown, 'STREAM_REVOKED')) return false
        await this.#world.time.sleep(this.#random.int(50, 500), this.#life)
      }
    }
  }

  async #put(name: string, records: readonly Encoded[]): Promise<void> {
    await this.#world.time.sleep(this.#random.int(1, this.#world.faults.slowMs), this.#life)
    if (!this.#life.alive) return Life.limbo
    const fails = this.#random.chance(this.#world.faults.write)
    if (!fails || this.#random.chance(0.5)) {
      const rows = records.map(({ event, json }) => [event.id, { ...event.origin!, content: json.toString() }] as const)
      this.#world.lake.put(name, new Map(rows))
    }
    if (fails) throw new Error('simulated: the object store is away')
  }

  #letter({ event }: Encoded): DeadLetter {
    return deadLetterOf(event, this.#deps.pipeline, 'lake', 'unstorable: simulated', this.#world.time.nowMs)
  }

  #letGo(name: string): void {
    const stream = this.#streams.get(name)
    this.#streams.delete(name)
    if (!stream) return
    stream.revoked = true
    // Their acks change nothing any more; whoever has the partition now reads them again.
    for (const { kept } of stream.held.values()) kept.resolve()
  }
}
