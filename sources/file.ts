import { basename } from 'node:path'
import { z } from 'zod'
import {
  BATCH_BYTES_MAX,
  BATCH_EVENTS_MAX,
  type DeadLetter,
  type Delivery,
  type Deps,
  defineSource,
  type Event,
  kinds,
  type Source,
} from '../engine/contract.ts'
import { deadLetterOf } from '../engine/dead-letter.ts'
import { RecordEvent } from '../engine/event.ts'
import { orAborted } from '../platform/or-aborted.ts'
import { bytesOf } from './records/bytes.ts'
import { type CutRecord, RecordCutter } from './records/cutter.ts'

const config = z.strictObject({
  path: z.string().min(1).describe('A file, or - for standard input; gzip is recognised by its first bytes'),
  kind: z.enum(kinds).default('waf').describe('What the records are'),
})

/**
 * JSON records of a file or standard input: NDJSON, records side by side, or pretty-printed; plain or gzip. Ends with the input. Each
 * event's origin is the file's name and the line it begins on. Throws SOURCE_UNREADABLE, at the first read.
 */
export const file = defineSource({
  type: 'file',
  summary: 'Reads JSON records from a file or standard input, plain or gzip, and ends with it.',
  config,
  example: `path: waf.ndjson.gz
kind: waf
`,
  open: (settings, deps) => Promise.resolve(new FileSource(settings, deps)),
})

class FileSource implements Source {
  readonly #settings: z.output<typeof config>
  readonly #deps: Deps
  readonly #chunks: AsyncGenerator<Buffer>
  readonly #cutter = new RecordCutter()
  readonly #stream: string
  /** Cut and not handed out, from #next on. */
  #cuts: CutRecord[] = []
  #next = 0
  #ended = false

  constructor(settings: z.output<typeof config>, deps: Deps) {
    this.#settings = settings
    this.#deps = deps
    this.#chunks = bytesOf(settings.path)
    this.#stream = settings.path === '-' ? 'stdin' : basename(settings.path)
  }

  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    const batch: Event[] = []
    let bytes = 0
    while (batch.length < BATCH_EVENTS_MAX) {
      const cut = this.#cuts[this.#next]
      if (!cut) {
        // What was read is not held back for a fuller batch: the rest may be long in coming, and small batches stay in the caches.
        if (batch.length > 0 || this.#ended || !(await this.#readMore(signal))) break
        continue
      }
      if (batch.length > 0 && bytes + cut.raw.length > BATCH_BYTES_MAX) break
      this.#next++
      const event = this.#eventOf(cut)
      if (cut.oversize) await this.#refuse(event)
      else {
        batch.push(event)
        bytes += cut.raw.length
      }
    }
    if (batch.length === 0) return undefined
    return { batch, ack: () => undefined, nack: () => undefined }
  }

  async close(): Promise<void> {
    this.#ended = true
    // Not awaited: a read of standard input that waits for a person would keep us here.
    void this.#chunks.return(undefined).catch(() => undefined)
    if (this.#settings.path === '-') process.stdin.destroy()
  }

  /** False when the signal aborted. */
  async #readMore(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    const chunk = await orAborted(this.#chunks.next(), signal)
    if (!chunk) return false
    this.#cuts = []
    this.#next = 0
    if (chunk.done) {
      this.#ended = true
      this.#cutter.end(this.#cuts)
      return this.#cuts.length > 0
    }
    this.#cutter.push(chunk.value, this.#cuts)
    return true
  }

  #eventOf({ raw, line }: CutRecord): Event {
    const origin = { stream: this.#stream, position: BigInt(line) }
    return new RecordEvent(this.#settings.kind, raw, this.#deps.clock.now(), origin)
  }

  async #refuse(event: Event): Promise<void> {
    const { pipeline, clock } = this.#deps
    const letter: DeadLetter = deadLetterOf(event, pipeline, 'file', 'oversize: more than 1 MiB', clock.now())
    await this.#deps.deadLetter([letter])
  }
}
