import type { DeadLetter, Delivery, Deps } from '../../engine/contract.ts'
import { recordId } from '../../engine/event.ts'
import { asError } from '../../platform/errors.ts'
import { type Refusal, tryLater } from './answer.ts'
import type { Hold } from './inflight.ts'
import { type Cut, cutPart } from './parts.ts'

/** How often waiting requests are looked at. */
const SWEEP_MS = 250
/** Records handed to the dead letter at once. */
const DEAD_LETTERS_MAX = 500

/** 'durable': every record is stored, or in the dead letter. */
export type Outcome = 'durable' | Refusal

export interface PendingOptions {
  readonly answerMs: number
  readonly stallMs: number
}

interface Entry {
  /** Let go with the last part, unless records are left for the dead letter: an ack that comes late must not keep them. */
  cut: Cut | undefined
  readonly hold: Hold
  readonly sinceMs: number
  readonly settle: (outcome: Outcome) => void
  /** Where the next part begins; `end` once everything is handed out, or given up. */
  next: number
  end: number
  parts: number
  /** Handed out and not settled. */
  outstanding: number
  failure: Refusal | undefined
  /** Somebody still waits for the answer. */
  waiting: boolean
}

/** Requests between the client and the engine: handed out in parts as the engine asks, answered when all are settled. */
export class Pending {
  readonly #deps: Deps
  readonly #options: PendingOptions
  /** With parts to hand out, oldest first. */
  readonly #unread = new Set<Entry>()
  /** Not answered yet, oldest first. */
  readonly #waiting = new Set<Entry>()
  /** When each outstanding part was handed out, oldest first. */
  readonly #handedOut = new Map<object, number>()
  readonly #stopping = new AbortController()
  #arrived: (() => void) | undefined
  #signal: AbortSignal | undefined

  constructor(deps: Deps, options: PendingOptions) {
    this.#deps = deps
    this.#options = options
    void this.#sweep()
  }

  get stopping(): boolean {
    return this.#stopping.signal.aborted
  }

  /** Why no new request should be read now. */
  refusal(): Refusal | undefined {
    if (this.stopping) return tryLater('stopping', 1000)
    const { stallMs } = this.#options
    const oldest = this.#handedOut.values().next().value ?? this.#unread.values().next().value?.sinceMs
    if (oldest === undefined || this.#deps.clock.monotonicMs() - oldest < stallMs) return undefined
    return tryLater('records received earlier are not stored yet', stallMs)
  }

  /** `settled` is called once, unless the request is abandoned first. `hold` is released when the engine is done with the records. */
  submit(cut: Cut, hold: Hold, settled: (outcome: Outcome) => void): { readonly abandon: () => void } {
    const entry: Entry = {
      cut,
      hold,
      sinceMs: this.#deps.clock.monotonicMs(),
      settle: settled,
      next: 0,
      end: cut.records.spans.length,
      parts: 0,
      outstanding: 0,
      failure: undefined,
      waiting: true,
    }
    this.#waiting.add(entry)
    if (this.stopping) this.#answer(entry, tryLater('stopping', 1000))
    else if (entry.end === 0) this.#partSettled(entry)
    else {
      this.#unread.add(entry)
      this.#arrived?.()
    }
    return { abandon: () => this.#giveUp(entry) }
  }

  /** See Source.read. An aborted signal stops for good: what the engine has not read is answered 503. */
  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    // Listened to between reads as well: the engine may be told to stop while it has no room to read.
    if (signal !== this.#signal) signal.addEventListener('abort', () => this.stop(), { once: true })
    this.#signal = signal
    if (signal.aborted) this.stop()
    for (;;) {
      if (this.stopping) return undefined
      const entry = this.#unread.values().next().value
      if (entry?.cut) return this.#handOut(entry, entry.cut)
      await new Promise<void>(resolve => {
        this.#arrived = resolve
      })
    }
  }

  /** Answers what is not with the engine; the rest is answered as the engine settles it. */
  stop(): void {
    this.#stopping.abort()
    for (const entry of this.#unread) this.#answer(entry, tryLater('stopping', 1000))
    this.#arrived?.()
  }

  #handOut(entry: Entry, cut: Cut): Delivery {
    const part = cutPart(cut, entry.next, entry.parts)
    entry.next = part.next
    entry.parts++
    entry.outstanding++
    if (entry.next >= entry.end) {
      this.#unread.delete(entry)
      if (cut.records.spoiled.length === 0) entry.cut = undefined
    }
    const token = {}
    this.#handedOut.set(token, this.#deps.clock.monotonicMs())
    const settled = (failure?: Refusal) => {
      this.#handedOut.delete(token)
      entry.outstanding--
      entry.failure ??= failure
      this.#partSettled(entry)
    }
    return {
      batch: part.batch,
      ack: () => settled(),
      nack: cause => settled(tryLater(`not stored: ${cause.message}`, 1000)),
    }
  }

  #partSettled(entry: Entry): void {
    if (entry.outstanding > 0) return
    if (entry.failure) this.#answer(entry, entry.failure)
    else if (!entry.waiting) entry.hold.release()
    else if (entry.next >= entry.end) void this.#finish(entry)
  }

  /** Last of all, so that a request which is repeated because of its other records does not write this twice. */
  async #finish(entry: Entry): Promise<void> {
    entry.outstanding++
    let outcome: Outcome = 'durable'
    try {
      const letters = entry.cut ? deadLetters(entry.cut, this.#deps.pipeline) : []
      for (let at = 0; at < letters.length; at += DEAD_LETTERS_MAX)
        await this.#deps.deadLetter(letters.slice(at, at + DEAD_LETTERS_MAX))
    } catch (error) {
      outcome = tryLater(`the dead letter cannot be written: ${asError(error).message}`, 5000)
    }
    entry.outstanding--
    this.#answer(entry, outcome)
  }

  #answer(entry: Entry, outcome: Outcome): void {
    const { waiting } = entry
    this.#giveUp(entry)
    if (waiting) entry.settle(outcome)
  }

  /** Nobody waits any more: what the engine has not read is let go. The client repeats it, and the markers tell what was stored. */
  #giveUp(entry: Entry): void {
    entry.waiting = false
    entry.end = entry.next
    this.#waiting.delete(entry)
    this.#unread.delete(entry)
    if (entry.outstanding > 0) return
    entry.cut = undefined
    entry.hold.release()
  }

  async #sweep(): Promise<void> {
    const { clock } = this.#deps
    const { signal } = this.#stopping
    while (!signal.aborted || this.#waiting.size > 0) {
      await clock.wait(SWEEP_MS, this.#waiting.size > 0 ? undefined : signal)
      const longest = clock.monotonicMs() - this.#options.answerMs
      for (const entry of this.#waiting) {
        if (entry.sinceMs > longest) break
        this.#answer(entry, tryLater('not stored in time; a repeat will not be stored twice', 5000))
      }
    }
  }
}

function deadLetters({ records, kind, receivedMs }: Cut, pipeline: string): DeadLetter[] {
  return records.spoiled.map(({ start, end, reason }) => {
    const raw = records.bytes.subarray(start, end)
    return { id: recordId(raw), kind, pipeline, stage: 'http', reason, timeMs: receivedMs, origin: undefined, raw }
  })
}
