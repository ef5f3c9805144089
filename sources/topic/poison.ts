import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { asError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { type InStages, Mark } from './mark.ts'

/** In so many deaths the killer was the only record in the stages. One could be chance: a kill from outside just then. */
const ALONE_MIN = 2

/** Of one partition, between two commits. Each costs `deathsMax` deaths; the oldest is forgotten and found again. */
const KILLERS_MAX = 1_000

const offset = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform(text => BigInt(text))

/** Records that were in the stages of `deaths` processes when they died, and have not come through them since. */
const suspicion = z.object({
  from: offset,
  to: offset,
  deaths: z.int().min(1),
  /** In how many of the deaths the only one of them was the only record in the stages. */
  alone: z.int().min(0),
})
type Suspicion = z.output<typeof suspicion>

const stored = z.record(
  z.string().regex(/^\d{1,10}$/),
  z.object({ suspicion: suspicion.optional(), killers: z.array(offset).max(KILLERS_MAX) }),
)

interface Known {
  suspicion: Suspicion | undefined
  killers: readonly bigint[]
}

/** How to read a partition after what happened before. */
export interface Caution {
  /** Records from `from` on, `to` excluded, are read one a batch. */
  readonly singly: { readonly from: bigint; readonly to: bigint } | undefined
  /** Records that kill the process: they are dead-lettered instead of being processed. */
  readonly killers: ReadonlySet<bigint>
}

/**
 * Finds the record that kills the process in a stage. Only a batch that was in the stages when a process died is suspected, and
 * only until it comes through them: a kill from outside counts against a record only when it falls into that moment,
 * and `deathsMax` of them only when all fall on the same records. For the last two deaths these are read one a batch, so
 * that both name the killer. What it knows is in `folder`, on this machine: deaths elsewhere are counted there.
 */
export class PoisonGuard {
  readonly #path: string
  readonly #mark: Mark
  readonly #deathsMax: number
  readonly #log: Log
  readonly #known: Map<number, Known>
  #inStages: InStages | undefined
  #failed = false

  constructor(folder: string, deathsMax: number, log: Log) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    this.#path = join(folder, 'suspects.json')
    this.#mark = new Mark(join(folder, 'in-stages'))
    this.#deathsMax = deathsMax
    this.#log = log
    this.#known = readKnown(this.#path)
    const died = this.#mark.read()
    if (died) this.#accuse(died)
    this.#try(() => this.#mark.clear())
  }

  /** To be asked when a partition is assigned. What is committed is past suspicion. */
  cautionOf(partition: number, committed: bigint): Caution {
    const known = this.#known.get(partition)
    if (!known) return { singly: undefined, killers: new Set() }
    if (known.suspicion && known.suspicion.to <= committed) known.suspicion = undefined
    known.killers = known.killers.filter(killer => killer >= committed)
    const deathsBefore = this.#deathsMax - ALONE_MIN
    const singly = known.suspicion && known.suspicion.deaths >= deathsBefore ? known.suspicion : undefined
    return { singly, killers: new Set(known.killers) }
  }

  /** The next batch is about to be handed to the stages; one before it came through them. Returns what says so of this one. */
  entering(batch: InStages): () => void {
    this.#inStages = batch
    this.#try(() => this.#mark.set(batch))
    return () => {
      if (this.#inStages === batch) this.cameThrough()
    }
  }

  /** What was handed to the stages last came through them. */
  cameThrough(): void {
    const batch = this.#inStages
    if (!batch) return
    this.#inStages = undefined
    this.#try(() => this.#mark.clear())
    const known = this.#known.get(batch.partition)
    if (!known?.suspicion || batch.next < known.suspicion.to) return
    known.suspicion = undefined
    this.#save()
  }

  /** The process stops in order: whatever happens next is not the doing of a record. */
  close(): void {
    this.#inStages = undefined
    this.#try(() => this.#mark.clear())
    this.#mark.close()
  }

  #accuse(died: InStages): void {
    const known = this.#known.get(died.partition) ?? { suspicion: undefined, killers: [] }
    this.#known.set(died.partition, known)
    const suspected = together(known.suspicion, died)
    const isFound = suspected.alone >= ALONE_MIN && suspected.deaths >= this.#deathsMax
    known.suspicion = isFound ? undefined : suspected
    if (isFound) known.killers = [...known.killers, died.first].slice(-KILLERS_MAX)
    this.#save()
  }

  /** Replaced whole, and before the mark is cleared: a death in between is counted twice rather than never. */
  #save(): void {
    this.#try(() => {
      const entries = [...this.#known].filter(([, { suspicion: each, killers }]) => each || killers.length > 0)
      const text = JSON.stringify(Object.fromEntries(entries), (_, value: unknown) =>
        typeof value === 'bigint' ? String(value) : value,
      )
      const file = openSync(`${this.#path}.new`, 'w', 0o600)
      try {
        writeSync(file, text)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(`${this.#path}.new`, this.#path)
    })
  }

  /** A disk that refuses costs only the guard. */
  #try(write: () => void): void {
    try {
      write()
      this.#failed = false
    } catch (thrown) {
      if (!this.#failed) {
        this.#log.warn('what is in the stages cannot be noted: a record that kills the process would not be found', {
          error: asError(thrown).message,
        })
      }
      this.#failed = true
    }
  }
}

/** Whoever killed both processes was in the stages of both. */
function together(before: Suspicion | undefined, { first, next }: InStages): Suspicion {
  const alone = next - first === 1n ? 1 : 0
  if (!before || before.to <= first || next <= before.from) return { from: first, to: next, deaths: 1, alone }
  return {
    from: before.from > first ? before.from : first,
    to: before.to < next ? before.to : next,
    deaths: before.deaths + 1,
    alone: alone === 0 ? 0 : before.alone + 1,
  }
}

/** Empty when there is nothing, or nothing that makes sense: then nothing is suspected. */
function readKnown(path: string): Map<number, Known> {
  try {
    const entries = Object.entries(stored.parse(JSON.parse(readFileSync(path, 'utf8'))))
    return new Map(
      entries.map(([partition, { suspicion: each, killers }]) => [Number(partition), { suspicion: each, killers }]),
    )
  } catch {
    return new Map()
  }
}
