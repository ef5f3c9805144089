import { closeSync, constants, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** And so many with this record alone unsettled before it is the killer: a power cut is not its fault. */
const ALONE_MAX = 2

const offset = z
  .string()
  .regex(/^\d+$/)
  .transform(text => BigInt(text))

/** What is known of the process that read a partition last. */
const stored = z.object({
  /** The committed offset when it began. */
  began: offset,
  /** The first offset it had not handed out. */
  readTo: offset,
  /** Oldest offset that was handed out and not settled; equal to readTo when there is none. */
  unsettled: offset,
  /** How often in a row a process died here without progress. */
  deaths: z.number().int().min(0),
  /** How often in a row one died with the same single record unsettled, and which. */
  alone: z.number().int().min(0),
  aloneAt: offset.optional(),
  /** It read one event a batch up to here (excluded). */
  singlyTo: offset.optional(),
  /** It stopped in order. */
  closed: z.boolean(),
})
type Stored = z.output<typeof stored>

/** How to read a partition after what happened before. */
export interface Plan {
  /** Records before this offset are read one a batch; undefined: none. */
  readonly singlyTo: bigint | undefined
  /** While reading singly, so many at most may be unsettled. */
  readonly unsettledMax: number
  /** The record that kills: it is dead-lettered instead of being processed. */
  readonly killer: bigint | undefined
}

const NORMAL: Plan = { singlyTo: undefined, unsettledMax: Number.POSITIVE_INFINITY, killer: undefined }

/**
 * The poison guard's memory: one small file a partition. A stretch of offsets under which the process died three times
 * is read one event a batch, and from then on each death halves how many may be unsettled at once, until the killer is
 * alone. The file is written without sync while reading: it must outlive the process, not the machine.
 */
export class Attempts {
  readonly #folder: string
  readonly #deathsMax: number

  /** `deathsMax` processes must have died over the same committed offset before its records are suspected. */
  constructor(folder: string, deathsMax: number) {
    this.#folder = folder
    this.#deathsMax = deathsMax
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  /** Called when a partition is assigned, before its first record is read. */
  begin(partition: number, committed: bigint): Attempt {
    const path = join(this.#folder, `${partition}.json`)
    const before = readStored(path)
    const verdict = judge(before, committed, this.#deathsMax)
    return new Attempt(
      path,
      { ...verdict.state, began: committed, readTo: committed, unsettled: committed },
      verdict.plan,
    )
  }
}

/** Decides by what the last process left behind. */
function judge(
  before: Stored | undefined,
  committed: bigint,
  deathsMax: number,
): { readonly plan: Plan; readonly state: Pick<Stored, 'deaths' | 'alone' | 'aloneAt' | 'singlyTo' | 'closed'> } {
  const fresh = { deaths: 0, alone: 0, aloneAt: undefined, singlyTo: undefined, closed: false }
  if (!before || before.closed) return { plan: NORMAL, state: fresh }
  const wasSingle = before.singlyTo !== undefined
  const deaths = wasSingle || before.began === committed ? before.deaths + 1 : 0
  if (deaths < deathsMax) return { plan: NORMAL, state: { ...fresh, deaths } }
  const singlyTo = wasSingle && before.singlyTo! > before.readTo ? before.singlyTo! : before.readTo
  if (singlyTo <= committed) return { plan: NORMAL, state: fresh }
  const suspects = before.readTo - before.unsettled
  const aloneAt = wasSingle && suspects === 1n ? before.unsettled : undefined
  const alone = aloneAt === undefined ? 0 : aloneAt === before.aloneAt ? before.alone + 1 : 1
  return {
    plan: {
      singlyTo,
      unsettledMax: wasSingle ? Math.max(1, Math.floor(Number(suspects) / 2)) : Number.POSITIVE_INFINITY,
      killer: alone >= ALONE_MAX ? aloneAt : undefined,
    },
    state: { deaths, alone, aloneAt, singlyTo, closed: false },
  }
}

/** One process reading one partition. */
export class Attempt {
  readonly plan: Plan
  readonly #path: string
  #file: number | undefined
  #state: Stored

  constructor(path: string, state: Stored, plan: Plan) {
    this.#path = path
    this.#state = state
    this.plan = plan
    this.#write()
    if (this.#file !== undefined) fsyncSync(this.#file)
  }

  /** Before records are handed out: up to `readTo`, of which everything from `unsettled` on is not settled. */
  reading(readTo: bigint, unsettled: bigint): void {
    if (this.#state.closed) return
    const { singlyTo } = this.#state
    // The stretch is over once everything in it is settled.
    const over = singlyTo !== undefined && unsettled >= singlyTo
    this.#state = over
      ? {
          ...this.#state,
          readTo,
          unsettled,
          began: unsettled,
          singlyTo: undefined,
          deaths: 0,
          alone: 0,
          aloneAt: undefined,
        }
      : { ...this.#state, readTo, unsettled }
    this.#write()
  }

  /** The partition was given up in order: whatever happens next is not its records' doing. */
  close(): void {
    if (this.#state.closed) return
    this.#state = { ...this.#state, closed: true }
    this.#write()
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  /** In place and padded, so that one write call replaces what was there. A disk that refuses it costs only the guard. */
  #write(): void {
    const text = JSON.stringify(this.#state, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
    try {
      this.#file ??= openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600)
      writeSync(this.#file, text.padEnd(320), 0)
    } catch {
      rmSync(this.#path, { force: true })
    }
  }
}

/** undefined when there is none, or none that makes sense: then nothing is suspected. */
function readStored(path: string): Stored | undefined {
  try {
    return stored.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}
