import { hash } from 'node:crypto'
import { isSpace } from '../platform/json/space.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import type { Event, Kind, Origin } from './contract.ts'

/**
 * 128 bits of SHA-256 over the record's bytes, 32 hex digits. A collision-resistant hash, because an attacker writes
 * most of the record: with a weaker one he could make two requests that look like a redelivery of each other.
 */
export function recordId(raw: Buffer): string {
  return hash('sha256', raw, 'hex').slice(0, 32)
}

/** An event as read. A class, so that all events share one shape; the id is computed on first use (ingest never needs it). */
export class RecordEvent implements Event {
  readonly kind: Kind
  readonly origin: Origin | undefined
  readonly raw: Buffer
  readonly marker: string | undefined
  readonly replayed: boolean
  key: string | undefined = undefined
  readonly receivedMs: number
  timeMs: number
  body: OcsfEvent = {}
  encode: (() => Buffer) | undefined = undefined
  #id: string | undefined = undefined

  constructor(kind: Kind, raw: Buffer, receivedMs: number, origin?: Origin, marker?: string, replayed = false) {
    this.kind = kind
    this.raw = raw
    this.receivedMs = receivedMs
    this.timeMs = receivedMs
    this.origin = origin
    this.marker = marker
    this.replayed = replayed
  }

  get id(): string {
    this.#id ??= recordId(this.raw)
    return this.#id
  }

  /** The same record before any stage touched it, for trying again one by one. */
  static untouched(event: Event): RecordEvent {
    return new RecordEvent(event.kind, event.raw, event.receivedMs, event.origin, event.marker, event.replayed)
  }
}

/** `raw` without JSON white space at both ends. A view, not a copy. */
export function trimmed(raw: Buffer): Buffer {
  let start = 0
  let end = raw.length
  while (start < end && isSpace(raw[start])) start++
  while (end > start && isSpace(raw[end - 1])) end--
  return start === 0 && end === raw.length ? raw : raw.subarray(start, end)
}
