/** The types every component is written against: read this file first. */
import type { output, ZodType } from 'zod'
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import type { TopicConfig, Topics } from '../platform/topics/contract.ts'

export const BATCH_EVENTS_MAX = 500
export const BATCH_BYTES_MAX = 1024 * 1024
export const EVENT_BYTES_MAX = 1024 * 1024

/** Logs that are taken in from outside. */
export const logKinds = ['waf', 'guardduty', 'falco'] as const
export type LogKind = (typeof logKinds)[number]

export const isLogKind = (kind: Kind): kind is LogKind => logKinds.some(each => each === kind)

/** What a record is; decides its topic, its key and how it is parsed. Those that are no logs Haetae itself writes. */
export const kinds = [...logKinds, 'alert', 'match', 'decision', 'incident', 'audit'] as const
export type Kind = (typeof kinds)[number]

/** One security event. One stage owns it at a time and may change the fields that are not readonly. */
export interface Event {
  /** Same value on every redelivery by any road: a 128-bit hash of the record's bytes, outer white space trimmed. */
  readonly id: string
  readonly kind: Kind
  /** Where it was read, if the source has positions: { stream: 'events.waf/3', position: 918273n }. */
  readonly origin: Origin | undefined
  /** Bytes as received, outer white space trimmed. Evidence: the dead letter writes exactly these. */
  readonly raw: Buffer
  /** Identifies the set of records this one was received with; the topic sink stores it with them (topics/contract.ts). */
  readonly marker: string | undefined
  /** Sent again on purpose from the dead letter: not a repeat, whatever was seen before. */
  readonly replayed: boolean
  /** Partition key for the topic sink; set by the `key` stage. */
  key: string | undefined
  /** When the record reached us, milliseconds since the epoch; of an alert: when the event that completed it did. */
  readonly receivedMs: number
  /** Arrival time until a parse stage sets the event's own time. */
  timeMs: number
  /** Empty until a parse stage fills it. Reads as its OCSF type; may be a view over `raw`. */
  body: OcsfEvent
  /** The body's own encoder, if it has one; else JSON.stringify. Must reflect every change made to `body`. */
  encode: (() => Buffer) | undefined
}
export interface Origin {
  readonly stream: string
  readonly position: bigint
}

/** 1 to BATCH_EVENTS_MAX events. The engine stops there, and acks, when a stage returns none. */
export type Batch = Event[]

export type Severity = 'info' | 'low' | 'medium' | 'high' | 'critical'
export interface Alert extends Event {
  readonly rule: string
  readonly severity: Severity
}

/** Events read together and settled together. The engine calls ack or nack, exactly once. */
export interface Delivery {
  readonly batch: Batch
  /**
   * It was settled by whoever read the stream before, and is read again only so that detectors remember what he did: nothing of it is
   * written, no alert and no dead letter.
   */
  readonly muted?: boolean
  /** Each event is durable in every sink, durable in the dead letter, or dropped on purpose. A closure that must not keep `batch` alive. */
  readonly ack: () => void
  /** Called when stages and detectors ran over the batch and its writes have begun: a death from here on was not theirs. */
  readonly staged?: () => void
  /** The engine is stopping. The source must leave the batch readable for the next process. */
  readonly nack: (cause: Error) => void
}

export interface Source {
  /** Called only while the engine has room, never concurrently. undefined = end of input, or `signal` aborted. */
  read(signal: AbortSignal): Promise<Delivery | undefined>
  /** Called after every delivery is settled. */
  close(): Promise<void>
  /** Sources whose streams carry a note with their committed position. */
  readonly positions?: Positions
  /** Sources that keep what detectors remember of a stream for whoever reads it next. To be called before the first read. */
  keepState?(detectors: readonly NamedState[]): void
}

/** What one detector of the pipeline remembers; its name is among them its own. */
export interface NamedState {
  readonly name: string
  readonly state: StreamState
}

/**
 * Moves one event out of the batch and into the dead letter. `reason` is `code` or `code: detail`; the code is one of
 * a small closed set of snake_case words, as it becomes a metric label.
 */
export type Reject = (event: Event, reason: string) => void

/** Parse, enrich, filter, redact. */
export interface Stage {
  /** Returns the events that continue. One neither returned nor rejected is dropped on purpose. */
  apply(batch: Batch, reject: Reject): Batch | Promise<Batch>
  close?(): Promise<void>
}

export interface Detector {
  /** Synchronous and without I/O: nothing interleaves, and a sink retry never repeats it. */
  detect(batch: readonly Event[], emit: (alert: Alert) => void): void
  /** What it remembers, by stream; snapshots are stored with the position they include (Source.keepState). */
  readonly state?: StreamState
}
/** All of it synchronous: nothing of the stream is detected meanwhile. */
export interface StreamState {
  /** The parts that changed since it was asked last, all of them the first time; no bytes: nothing is left of that part. */
  snapshot(stream: string): readonly StatePart[]
  /** The newest of each part, of a stream of which it knows nothing. Throws when it cannot read them; then `drop` follows. */
  restore(stream: string, parts: readonly StatePart[]): void
  drop(stream: string): void
}
export interface StatePart {
  readonly part: number
  readonly bytes: Uint8Array
}

/** An event serialised once and shared by every sink of the pipeline. */
export interface Encoded {
  readonly event: Event
  /** One JSON object without a line feed. Empty when no sink of the pipeline wants it (`Sink.wants`). */
  readonly json: Buffer
}

export interface Sink {
  /** 'raw': the sink writes `event.raw` and the engine need not serialise for it. Default 'json'. */
  readonly wants?: 'json' | 'raw'
  /**
   * Resolves when every record has a verdict. May hold records back to fill a larger request.
   * Throwing means: no verdict, retry the whole batch.
   */
  write(records: readonly Encoded[], signal: AbortSignal): Promise<Verdict>
  /** The engine will write nothing more before everything held back is settled: stop waiting for a fuller request. */
  drain?(): void
  close(): Promise<void>
}

/**
 * Positions in `records`. A record in neither list is durable, or will be when `later` resolves: a spooling sink gives it, the
 * engine lets the records go and keeps only the ack; what fails after that, the sink dead-letters from its spool (Deps.deadLetter).
 * `later` rejecting stops the pipeline.
 */
export interface Verdict {
  readonly retry: readonly number[]
  readonly reject: readonly Rejection[]
  readonly later?: Promise<void>
  /** The destination asks for at least this long before the next try. */
  readonly retryAfterMs?: number
  /** No use in waiting longer: the destination is near, and asking it costs nothing. */
  readonly retryWithinMs?: number
}
export interface Rejection {
  readonly index: number
  readonly reason: string
}

/** What a component file exports: its name, schema, documentation and constructor. */
export interface Spec<Config extends ZodType, Component> {
  /** Equals the file's name. */
  readonly type: string
  readonly summary: string
  /** Strict object; an unknown key is an error. */
  readonly config: Config
  /** YAML; parsed with `config` by the test suite and printed in docs/components.md. */
  readonly example: string
  /** The most bytes of memory that the component takes besides the batches it is given; nothing worth counting when absent. */
  readonly heldBytesMax?: (config: output<Config>) => number
  /** Components of one process for which this is the same hold those bytes together; each for itself when absent. */
  readonly heldTogether?: (config: output<Config>) => string
  /** The topics it writes: the embedded log makes them before anything opens, `haetae topics apply` in Kafka. */
  readonly topicsWritten?: (config: output<Config>) => readonly TopicConfig[]
  /** Of a component that reads files besides its configuration, when it opens and not again. */
  readonly files?: FilesRead<output<Config>>
  /** Config is already valid. Connects or throws; the engine retries with backoff. */
  open(config: output<Config>, deps: Deps): Promise<Component>
}

interface FilesRead<Config> {
  /** Names what stands in the files now: equal for equal content. Part of the revision of the configuration. */
  revision(config: Config): Promise<string>
  /** What is wrong in them, as `file:line:column: message`. `open` may do without it; a reload takes nothing over that has some. */
  problems(config: Config): Promise<readonly string[]>
}

export interface Deps {
  /** Name of the pipeline: part of consumer groups, spool folders and metric labels. */
  readonly pipeline: string
  readonly log: Log
  readonly metrics: Metrics
  readonly clock: Clock
  /** Folder for what must outlive the process and is nobody else's business; exists, 0700. */
  readonly stateFolder: string
  /** Opens the topic log on first use. */
  topics(): Promise<Topics>
  /** For sinks that make large objects: one short note per stream, kept with its committed position. */
  readonly positions: Positions
  /** Says why a component does nothing until a person acts, undefined when it goes on: /readyz shows it. Absent where nobody asks. */
  readonly paused?: (component: string, reason: string | undefined) => void
  /** Asks a person something while the component goes on; undefined when it is decided. /readyz and the status page show it, and stay ready. */
  readonly asks?: (component: string, question: string | undefined) => void
  /** For sinks that find out late (Verdict.later) that an event cannot be stored. Resolves when durable. */
  deadLetter(rejected: readonly DeadLetter[]): Promise<void>
}

export interface Positions {
  /** The note stored with the committed position of this stream, as it was when the stream was assigned or last set. */
  note(stream: string): string | undefined
  /** The committed position: the next to be read after a restart. undefined before any commit. */
  committed(stream: string): bigint | undefined
  /** Resolves when durable; rejects with STREAM_REVOKED after the stream was revoked. Kept by later commits until set again. */
  setNote(stream: string, note: string): Promise<void>
  /** Streams given to us: those that are ours now, at once, and then those that come. One process at a time has a stream. */
  onAssigned(listener: (streams: readonly string[]) => void): void
  /** Streams taken from us: what is held back for them may be let go, another consumer reads it again. */
  onRevoked(listener: (streams: readonly string[]) => void): void
}

/** One record that could not be processed, as it is kept. */
export interface DeadLetter {
  readonly id: string
  readonly kind: Kind
  readonly pipeline: string
  /** Component that refused it. */
  readonly stage: string
  readonly reason: string
  /** When it was refused, not when it arrived. */
  readonly timeMs: number
  readonly origin: Origin | undefined
  readonly raw: Buffer
}

export const defineSource = <C extends ZodType>(spec: Spec<C, Source>): Spec<C, Source> => spec
export const defineStage = <C extends ZodType>(spec: Spec<C, Stage>): Spec<C, Stage> => spec
export const defineDetector = <C extends ZodType>(spec: Spec<C, Detector>): Spec<C, Detector> => spec
export const defineSink = <C extends ZodType>(spec: Spec<C, Sink>): Spec<C, Sink> => spec
