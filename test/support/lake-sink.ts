import { readFile } from 'node:fs/promises'
import type { Encoded, Positions } from '../../engine/contract.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import type { BadRow, ObjectStore, Put } from '../../sinks/ranges/objects.ts'
import type { Split } from '../../sinks/ranges/spool.ts'
import { encodedOf, eventOf } from './deps.ts'

export const STREAM = 'events.waf/0'
export const DAY = Date.UTC(2026, 10, 24)

/** A small HTTP Activity as the stages leave it behind. */
export function httpActivity(uid: string, overrides: OcsfEvent = {}): OcsfEvent {
  return {
    activity_id: 3,
    category_uid: 4,
    class_uid: 4002,
    type_uid: 400203,
    severity_id: 1,
    time: DAY + 1000,
    action: 'Allowed',
    action_id: 1,
    metadata: { version: '1.8.0', uid, labels: ['a', 'b'], product: { name: 'AWS WAF', vendor_name: 'AWS' } },
    cloud: { provider: 'AWS', region: 'ap-northeast-2', account: { uid: '123456789012' } },
    ...overrides,
  }
}

/** A record as the engine hands it to the sink. `raw` differs from the body, as it does in life. */
export function recordOf(
  position: number | bigint,
  body: OcsfEvent = httpActivity(`u${position}`),
  stream = STREAM,
): Encoded {
  const event = eventOf(`{"raw":"${stream} ${position}"}`, 'waf', { stream, position: BigInt(position) })
  event.body = body
  return encodedOf(event)
}

export function records(from: number, to: number, overrides: OcsfEvent = {}, stream = STREAM): Encoded[] {
  return Array.from({ length: to - from }, (_, at) =>
    recordOf(
      from + at,
      httpActivity(`u${from + at}`, { ...overrides, time: overrides.time ?? DAY + from + at }),
      stream,
    ),
  )
}

/** Positions as a topic source keeps them: what is durable survives `restart`. */
export class FakePositions implements Positions {
  readonly notes = new Map<string, string>()
  readonly commits = new Map<string, bigint>()
  readonly noted: string[] = []
  /** Thrown by the next calls of setNote, one each. */
  readonly failures: Error[] = []
  readonly #revoked = new Set<string>()
  readonly #listeners: ((streams: readonly string[]) => void)[] = []

  note(stream: string): string | undefined {
    return this.notes.get(stream)
  }

  committed(stream: string): bigint | undefined {
    return this.commits.get(stream)
  }

  setNote(stream: string, note: string): Promise<void> {
    const failure = this.failures.shift()
    if (failure) return Promise.reject(failure)
    if (this.#revoked.has(stream)) return Promise.reject(new HaetaeError('STREAM_REVOKED', stream))
    this.notes.set(stream, note)
    this.noted.push(note)
    return Promise.resolve()
  }

  onAssigned(): void {}

  onRevoked(listener: (streams: readonly string[]) => void): void {
    this.#listeners.push(listener)
  }

  revoke(stream: string): void {
    this.#revoked.add(stream)
    for (const listener of this.#listeners) listener([stream])
  }

  assign(stream: string): void {
    this.#revoked.delete(stream)
  }
}

/** Objects in memory: the uids of their rows. */
export class MemoryObjects implements ObjectStore {
  readonly objects = new Map<string, readonly string[]>()
  /** Thrown by the next calls of put, one each. */
  readonly failures: Error[] = []
  /** Rows with these uids are refused. */
  readonly refused = new Set<string>()
  puts = 0

  has(path: string): Promise<boolean> {
    return Promise.resolve(this.objects.has(path))
  }

  async put(path: string, split: Split, settle: (bad: readonly BadRow[]) => Promise<void>): Promise<Put> {
    this.puts++
    const failure = this.failures.shift()
    if (failure) throw failure
    const uids = (await readFile(split.jsonPath, 'utf8')).trimEnd().split('\n').map(uidOf)
    const bad = uids.flatMap((uid, row) => (this.refused.has(uid) ? [{ row, problem: 'refused by the test' }] : []))
    if (bad.length > 0) await settle(bad)
    const kept = uids.filter(uid => !this.refused.has(uid))
    if (kept.length > 0) this.objects.set(path, kept)
    return { rows: kept.length, bytes: kept.length }
  }

  /** Every uid in every object. */
  get uids(): string[] {
    return [...this.objects.values()].flat()
  }
}

function uidOf(line: string): string {
  const { metadata } = JSON.parse(line) as OcsfEvent
  if (!metadata?.uid) throw new Error('a row without uid')
  return metadata.uid
}
