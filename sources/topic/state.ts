import { randomUUID } from 'node:crypto'
import type { Deps, NamedState } from '../../engine/contract.ts'
import { backoffMs, writeBackoff } from '../../platform/backoff.ts'
import { asError, cureOf, HaetaeError, PERSON_WAIT_MS } from '../../platform/errors.ts'
import type { TopicRecord, Topics } from '../../platform/topics/contract.ts'
import {
  type DetectorParts,
  partsOf,
  prefixOf,
  readNote,
  readStored,
  type StateNote,
  StoredState,
} from './stored-state.ts'
import type { Stream } from './stream.ts'

export interface StateOptions {
  readonly topic: string
  readonly group: string
}

/** What is paused while what is remembered cannot be read. */
const STATE = 'topic state'
/** Of one append: what a snapshot is more goes in several. */
const APPEND_BYTES_MAX = 4 * 1024 * 1024

interface Kept {
  readonly stored: StoredState
  /** Taken, and waiting until everything before its position is settled. */
  taken: { readonly position: bigint; readonly changed: readonly DetectorParts[] } | undefined
  /** The records of it that are not durable yet. */
  unwritten: readonly TopicRecord[] | undefined
}

/**
 * Keeps what detectors remember of each stream in a compacted topic. The committed position of a stream is that of its last
 * durable snapshot, and its note says how far everything was settled: who reads the stream next restores the snapshot, reads
 * again from there, muted as far as the note says, and goes on.
 */
export class StateKeeper {
  readonly #options: StateOptions
  readonly #deps: Deps
  readonly #detectors: readonly NamedState[]
  readonly #kept = new Map<Stream, Kept>()
  /** Not ours any more; what is still in the stages is detected with what is remembered, so it goes only afterwards. */
  readonly #gone = new Set<string>()
  #fails = false

  constructor(options: StateOptions, deps: Deps, detectors: readonly NamedState[]) {
    this.#options = options
    this.#deps = deps
    this.#detectors = detectors
  }

  isReady(stream: Stream): boolean {
    return this.#kept.has(stream)
  }

  /**
   * To be called while nothing is detected. Brings back what was remembered of streams that are new to us, and waits for it as long as it
   * cannot be read: without it, detectors would begin anew. False when `signal` aborted before.
   */
  async restored(streams: () => readonly Stream[], signal: AbortSignal): Promise<boolean> {
    const { clock, log, paused } = this.#deps
    let waits = false
    try {
      for (let attempt = 0; !signal.aborted; attempt++) {
        try {
          await this.#restore(streams(), signal)
          return !signal.aborted
        } catch (thrown) {
          if (!(thrown instanceof HaetaeError) || cureOf(thrown) === 'fatal') throw thrown
          const { code, message } = thrown
          if (!waits)
            log.warn('what detectors remember cannot be read yet: reading waits for it', { code, error: message })
          waits = true
          const forPerson = cureOf(thrown) === 'person'
          paused?.(STATE, forPerson ? `${code}: ${message}` : undefined)
          await clock.wait(forPerson ? PERSON_WAIT_MS : backoffMs(writeBackoff, attempt, Math.random), signal)
        }
      }
      return false
    } finally {
      if (waits) paused?.(STATE, undefined)
    }
  }

  async #restore(streams: readonly Stream[], signal: AbortSignal): Promise<void> {
    this.#forgetGone()
    const fresh = streams.filter(stream => !this.#kept.has(stream))
    if (fresh.length === 0) return
    const topics = await this.#deps.topics()
    const wanted = fresh.map(stream => {
      const note = readNote(stream.note, stream.committed)
      return { stream, note, prefix: prefixOf(this.#options.group, stream.name) }
    })
    const owners = new Map(wanted.map(({ prefix, note }) => [prefix, note?.snapshot?.owner]))
    const stored = await readStored(topics, this.#options.topic, owners, signal)
    if (signal.aborted) return
    this.#forgetGone()
    for (const { stream, note, prefix } of wanted) {
      const { keys, values } = stored.get(prefix)!
      // Of one stream at a time, its bytes and what they become are in memory together.
      stored.delete(prefix)
      // Much that is remembered takes long to read, and a group must hear of us meanwhile.
      await this.#deps.clock.wait(0)
      if (stream.isRevoked) continue
      this.#restoreOne(stream, note, note && partsOf(values, prefix, note))
      const state = new StoredState(prefix, randomUUID(), keys)
      this.#kept.set(stream, { stored: state, taken: undefined, unwritten: undefined })
    }
  }

  /** To be called while nothing is detected. A stream whose last snapshot is still to be written has its turn later. */
  take(): void {
    this.#forgetGone()
    for (const [stream, kept] of this.#kept) {
      if (kept.taken || stream.next === stream.snapshotPosition) continue
      const changed = this.#detectors.map(({ name, state }) => ({ detector: name, parts: state.snapshot(stream.name) }))
      kept.taken = { position: stream.next, changed }
    }
  }

  /** Writes the snapshots that wait for nothing else. Those of the streams it gives are durable: their positions may be committed. */
  async write(): Promise<readonly Stream[]> {
    const written: Stream[] = []
    for (const [stream, kept] of this.#kept) {
      const { taken, stored } = kept
      if (!taken || stream.settled < taken.position) continue
      kept.unwritten ??= stored.next(taken.position, taken.changed, this.#deps.clock.now())
      kept.unwritten = await this.#append(kept.unwritten)
      // Revoked meanwhile: what was written is the next owner's to delete.
      if (stream.isRevoked) continue
      if (kept.unwritten.length > 0) break
      stream.snapshotIs(taken.position, { owner: stored.owner, version: stored.version })
      kept.taken = undefined
      kept.unwritten = undefined
      written.push(stream)
    }
    return written
  }

  /** The positions of these are committed: what they replace can go. A failure leaves only what the next owner deletes. */
  async tidy(streams: readonly Stream[]): Promise<void> {
    const nowMs = this.#deps.clock.now()
    const deletions = streams.flatMap(stream => this.#kept.get(stream)?.stored.deletions(nowMs) ?? [])
    await this.#append(deletions)
  }

  revoked(stream: Stream): void {
    this.#kept.delete(stream)
    this.#gone.add(stream.name)
  }

  #forgetGone(): void {
    for (const name of this.#gone) for (const { state } of this.#detectors) state.drop(name)
    this.#gone.clear()
  }

  #restoreOne(stream: Stream, note: StateNote | undefined, parts: readonly DetectorParts[] | undefined): void {
    const { log, metrics, pipeline } = this.#deps
    try {
      for (const { name, state } of this.#detectors) {
        state.drop(stream.name)
        const own = parts?.find(({ detector }) => detector === name)?.parts ?? []
        state.restore(stream.name, own)
      }
    } catch (thrown) {
      for (const { state } of this.#detectors) state.drop(stream.name)
      parts = undefined
      log.error('what detectors remembered cannot be read', { stream: stream.name, error: asError(thrown).message })
    }
    if (note) stream.resume(note)
    if (!note?.snapshot || parts) return
    metrics
      .counter('haetae_state_lost_total', 'Streams of which detectors forgot what they remembered', ['pipeline'])
      .add({ pipeline })
    log.error('what detectors remembered of a stream is not there: they begin anew, and may miss what was under way', {
      stream: stream.name,
    })
  }

  /** What of it is not durable yet; all of it when the topic fails. */
  async #append(records: readonly TopicRecord[]): Promise<readonly TopicRecord[]> {
    const left: TopicRecord[] = []
    try {
      const topics = await this.#deps.topics()
      for (const part of together(records)) left.push(...(await this.#appendPart(topics, part)))
      this.#fails = false
    } catch (thrown) {
      if (!this.#fails) {
        this.#deps.log.warn('what detectors remember cannot be stored yet: after a restart more would be read again', {
          error: asError(thrown).message,
        })
      }
      this.#fails = true
      return records
    }
    return left
  }

  async #appendPart(topics: Topics, records: readonly TopicRecord[]): Promise<readonly TopicRecord[]> {
    const { retry, refused = [] } = await topics.append(this.#options.topic, records)
    if (refused.length > 0) throw new Error(`a record is refused: ${refused[0]!.reason}`)
    return retry.map(index => records[index]!)
  }
}

function* together(records: readonly TopicRecord[]): Generator<readonly TopicRecord[]> {
  let part: TopicRecord[] = []
  let bytes = 0
  for (const record of records) {
    const size = (record.value?.length ?? 0) + 256
    if (part.length > 0 && bytes + size > APPEND_BYTES_MAX) {
      yield part
      part = []
      bytes = 0
    }
    part.push(record)
    bytes += size
  }
  if (part.length > 0) yield part
}
