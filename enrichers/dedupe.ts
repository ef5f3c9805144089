import { z } from 'zod'
import { type Batch, defineStage, type Event, type Stage } from '../engine/contract.ts'
import { recordId } from '../engine/event.ts'
import { FirstSeen } from '../platform/first-seen.ts'
import type { Counter } from '../platform/metrics.ts'

const config = z.strictObject({
  idsMax: z.int().min(1).max(10_000_000).default(100_000).describe('Ids remembered per stream, about 34 bytes each'),
  streamsMax: z
    .int()
    .min(1)
    .max(10_000)
    .default(256)
    .describe('Streams remembered; of more, the one used least recently is forgotten'),
})

/**
 * Drops an event whose id was seen among the last `idsMax` of its stream at another position: the same record sent twice. An event
 * at the position of the first sighting is the same record read again (a retry, a rebalance) and passes, and so does one sent
 * again on purpose from the dead letter. Memory only: after a restart, repeats of what was read before it pass once; `haetae lake
 * query` and the `_id` of OpenSearch remove those.
 */
export const dedupe = defineStage({
  type: 'dedupe',
  summary: 'Drops records that were delivered before, by their id, within each stream',
  config,
  example: `
idsMax: 100000
streamsMax: 256
`,
  open(settings, deps): Promise<Stage> {
    const memory = new Memory(settings.idsMax, settings.streamsMax)
    // Whoever reads the stream now has its own memory; ours would only grow stale.
    deps.positions.onRevoked(streams => memory.forget(streams))
    const dropped = deps.metrics.counter('haetae_dedupe_dropped_total', 'Records dropped as repeats', ['pipeline'])
    return Promise.resolve({ apply: batch => firstOnly(batch, memory, dropped, deps.pipeline) })
  },
})

function firstOnly(batch: Batch, memory: Memory, dropped: Counter, pipeline: string): Batch {
  const first = batch.filter(event => memory.isFirst(event))
  if (first.length < batch.length) dropped.add({ pipeline }, batch.length - first.length)
  return first
}

class Memory {
  readonly #idsMax: number
  readonly #streamsMax: number
  /** In order of use. */
  readonly #streams = new Map<string, FirstSeen>()
  #last: { readonly name: string; readonly seen: FirstSeen } | undefined
  /** Records without a position that passed: only the same bytes in memory are the same record tried again. */
  readonly #passed = new WeakSet<Buffer>()
  /** Stands in for their position. */
  #serial = 0n

  constructor(idsMax: number, streamsMax: number) {
    this.#idsMax = idsMax
    this.#streamsMax = streamsMax
  }

  isFirst(event: Event): boolean {
    if (event.replayed) return true
    const { origin } = event
    const seen = this.#stream(origin?.stream ?? event.kind)
    const id = idPattern.test(event.id) ? event.id : recordId(Buffer.from(event.id))
    if (origin) return seen.firstPosition(id, origin.position) === origin.position
    if (this.#passed.has(event.raw)) return true
    const serial = this.#serial++
    const isFirst = seen.firstPosition(id, serial) === serial
    if (isFirst) this.#passed.add(event.raw)
    return isFirst
  }

  forget(streams: readonly string[]): void {
    for (const name of streams) this.#streams.delete(name)
    this.#last = undefined
  }

  #stream(name: string): FirstSeen {
    if (this.#last?.name === name) return this.#last.seen
    const seen = this.#streams.get(name) ?? new FirstSeen(this.#idsMax)
    this.#streams.delete(name)
    this.#streams.set(name, seen)
    for (const [oldest] of this.#streams) {
      if (this.#streams.size <= this.#streamsMax) break
      this.#streams.delete(oldest)
    }
    this.#last = { name, seen }
    return seen
  }
}

const idPattern = /^[0-9a-f]{32}$/
