import { z } from 'zod'
import {
  type Delivery,
  type Deps,
  defineSource,
  type Event,
  type LogKind,
  logKinds,
  type Source,
} from '../engine/contract.ts'
import { deadLetterOf } from '../engine/dead-letter.ts'
import { RecordEvent } from '../engine/event.ts'
import { backoffMs, writeBackoff } from '../platform/backoff.ts'
import { asError, isForAPerson, PERSON_WAIT_MS, systemCodeOf } from '../platform/errors.ts'
import { orAborted } from '../platform/or-aborted.ts'
import { connectQueue, type QueueMessage } from '../platform/sqs.ts'
import { Inbox } from './queue/inbox.ts'
import { carried } from './queue/message.ts'
import { queueOptions } from './queue/options.ts'
import type { CutRecord } from './records/cutter.ts'
import { type Announced, announcedBy } from './s3/announced.ts'
import { Finished } from './s3/finished.ts'
import { Buckets, ObjectTooLong, partsOf } from './s3/objects.ts'

const GIB = 1024 ** 3
/** Messages are small; this many bytes of them are all of one request. */
const MESSAGE_BYTES_MAX = 10 * 1024 * 1024
/** How long a message waits whose object is broken. */
const RETRY_MS = 30_000

const config = z.strictObject({
  ...queueOptions,
  kind: z.enum(logKinds).describe('What the objects hold: JSON records, plain or gzip'),
  buckets: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/))
    .max(100)
    .default([])
    .describe('Buckets that are read; objects of others go to the dead letter. Every bucket when empty'),
  objectBytesMax: z
    .int()
    .min(1_048_576)
    .default(4 * GIB)
    .describe('Of one object, unpacked; what is longer goes to the dead letter'),
})

/**
 * Objects that S3 announces over SQS (by event notification or EventBridge, SNS in between or not), streamed. A message is deleted when every
 * record of its objects is durable everywhere, or in the dead letter; an object that cannot be read now is tried again later.
 */
export const s3 = defineSource({
  type: 's3',
  summary: 'Reads objects of S3 as they are announced over SQS: JSON records, plain or gzip, streamed.',
  config,
  example: `queueUrl: https://sqs.ap-northeast-2.amazonaws.com/123456789012/haetae-waf-logs
kind: waf
buckets: [aws-waf-logs-shop]
objectBytesMax: 4294967296
visibilityMs: 120000
waitMs: 20000
receivesMax: 20
`,
  open: async (settings, deps) =>
    new ObjectSource(settings, new Inbox(await connectQueue(settings.queueUrl), settings, deps, 's3'), deps),
})

/** One message and what is left to do for it. */
interface Work {
  readonly message: QueueMessage
  readonly objects: Announced[]
  readonly read: Announced[]
  /** Deliveries that are not settled. */
  open: number
  /** Nothing more of it will be delivered. */
  ended: boolean
}

class ObjectSource implements Source {
  readonly #settings: z.output<typeof config>
  readonly #inbox: Inbox
  readonly #deps: Deps
  readonly #buckets = new Buckets()
  readonly #finished = new Finished()
  #messages: readonly QueueMessage[] = []
  #work: Work | undefined
  #parts: AsyncGenerator<readonly CutRecord[]> | undefined
  /** Tries in a row that S3 did not answer, or refused. */
  #failures = 0

  constructor(settings: z.output<typeof config>, inbox: Inbox, deps: Deps) {
    this.#settings = settings
    this.#inbox = inbox
    this.#deps = deps
  }

  async read(signal: AbortSignal): Promise<Delivery | undefined> {
    while (!signal.aborted) {
      const work = this.#work ?? (await this.#nextWork(signal))
      if (!work) continue
      this.#work = work
      try {
        this.#parts ??= await orAborted(this.#openNext(work), signal)
        if (signal.aborted) return undefined
        if (!this.#parts) {
          this.#end(work)
          continue
        }
        const next = await orAborted(this.#parts.next(), signal)
        if (!next) return undefined
        if (next.done) {
          work.read.push(work.objects.shift()!)
          this.#parts = undefined
          this.#readable()
        } else {
          const delivery = await this.#deliver(work, next.value)
          if (delivery) return delivery
        }
      } catch (thrown) {
        await this.#failed(work, thrown, signal)
      }
    }
    return undefined
  }

  async close(): Promise<void> {
    // Not awaited: a request that hangs would keep us here.
    void this.#parts?.return(undefined).catch(() => undefined)
    await this.#inbox.close()
    this.#buckets.close()
  }

  async #nextWork(signal: AbortSignal): Promise<Work | undefined> {
    if (this.#messages.length === 0) this.#messages = await this.#inbox.take(MESSAGE_BYTES_MAX, signal)
    const [message, ...rest] = this.#messages
    if (!message) return undefined
    this.#messages = rest
    const poison = this.#inbox.poison(message)
    if (poison !== undefined) return this.#refuse(message, poison)
    const announcement = announcedBy(carried(message.body))
    if ('refused' in announcement) return this.#refuse(message, announcement.refused)
    return { message, objects: [...announcement.objects], read: [], open: 0, ended: false }
  }

  /** The parts of the next object that is to be read; undefined when there is none. */
  async #openNext(work: Work): Promise<AsyncGenerator<readonly CutRecord[]> | undefined> {
    for (let object = work.objects[0]; object; object = work.objects[0]) {
      const { buckets, objectBytesMax } = this.#settings
      if (this.#finished.has(object)) {
        work.objects.shift()
      } else if (buckets.length > 0 && !buckets.includes(object.bucket)) {
        await this.#letter(work.message, `object_refused: ${object.bucket} is none of the buckets`)
        work.objects.shift()
      } else {
        const stream = await this.#buckets.open(object)
        if (stream) return partsOf(stream, objectBytesMax)
        await this.#letter(work.message, `object_missing: s3://${object.bucket}/${object.key}`)
        work.objects.shift()
      }
    }
    return undefined
  }

  async #deliver(work: Work, cuts: readonly CutRecord[]): Promise<Delivery | undefined> {
    const { bucket, key } = work.objects[0]!
    const { kind } = this.#settings
    const { pipeline, clock } = this.#deps
    const batch: Event[] = []
    const letters = []
    for (const { raw, line, oversize } of cuts) {
      const event = eventOf(kind, raw, clock.now(), `s3://${bucket}/${key}`, line)
      if (oversize) letters.push(deadLetterOf(event, pipeline, 's3', 'oversize: more than 1 MiB', clock.now()))
      else batch.push(event)
    }
    if (letters.length > 0) await this.#deps.deadLetter(letters)
    if (batch.length === 0) return undefined
    work.open++
    return {
      batch,
      ack: () => {
        work.open--
        this.#settle(work)
      },
      // Stays open: the message is given back when the source closes.
      nack: () => undefined,
    }
  }

  /** Every object of it was read. */
  #end(work: Work): void {
    work.ended = true
    this.#work = undefined
    this.#settle(work)
  }

  #settle({ message, read, open, ended }: Work): void {
    if (!ended || open > 0) return
    for (const object of read) this.#finished.add(object)
    this.#inbox.leases.done([message.receipt])
  }

  /** An object cannot be read to its end. */
  async #failed(work: Work, thrown: unknown, signal: AbortSignal): Promise<void> {
    this.#parts = undefined
    const { bucket, key } = work.objects[0] ?? { bucket: '', key: '' }
    if (thrown instanceof ObjectTooLong) {
      // The message stays for what was read of it before and is not durable yet, and for its other objects.
      await this.#letter(work.message, `oversize: s3://${bucket}/${key} holds ${thrown.message}`)
      work.objects.shift()
      return
    }
    const error = asError(thrown).message
    if (systemCodeOf(thrown).startsWith('Z_')) {
      // It is the object that is broken: read whole later, when it was cut off, or never, and then its message is poison.
      this.#work = undefined
      this.#deps.log.warn('an object cannot be unpacked', { bucket, key, error })
      await this.#inbox.leases.release([work.message.receipt], RETRY_MS)
      return
    }
    // S3 is away or refuses us. That is nothing against the message: it stays ours, and the object is tried until it can be read.
    if (this.#failures === 0) this.#deps.log.warn('an object cannot be read now', { bucket, key, error })
    const refused = isForAPerson(thrown)
    if (refused) this.#deps.paused?.('s3', error)
    const waitMs = refused ? PERSON_WAIT_MS : backoffMs(writeBackoff, this.#failures, Math.random)
    this.#failures++
    await this.#deps.clock.wait(waitMs, signal)
  }

  #readable(): void {
    if (this.#failures === 0) return
    this.#failures = 0
    this.#deps.paused?.('s3', undefined)
    this.#deps.log.info('objects can be read again')
  }

  async #refuse(message: QueueMessage, reason: string): Promise<undefined> {
    await this.#letter(message, reason)
    this.#inbox.leases.done([message.receipt])
    return undefined
  }

  /** Of the announcement, which is no record of its kind: a replay leaves it out. */
  async #letter({ body }: QueueMessage, reason: string): Promise<void> {
    const { pipeline, clock } = this.#deps
    const event = new RecordEvent(this.#settings.kind, Buffer.from(body), clock.now())
    await this.#deps.deadLetter([deadLetterOf(event, pipeline, 's3', `announcement: ${reason}`, clock.now())])
  }
}

function eventOf(kind: LogKind, raw: Buffer, nowMs: number, stream: string, line: number): Event {
  return new RecordEvent(kind, raw, nowMs, { stream, position: BigInt(line) })
}
