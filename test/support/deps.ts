import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeadLetter, Deps, Encoded, Event, Kind, Positions } from '../../engine/contract.ts'
import { RecordEvent, trimmed } from '../../engine/event.ts'
import { systemClock } from '../../platform/clock.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'

/** Positions of a source that has none. */
export const noPositions: Positions = {
  note: () => undefined,
  committed: () => undefined,
  setNote: () => Promise.resolve(),
  onAssigned: () => undefined,
  onRevoked: () => undefined,
}

/** Deps for a component under test; `dead` collects what it dead-lettered. Override what the test is about. */
export function testDeps(overrides: Partial<Deps> = {}): Deps & { readonly dead: DeadLetter[] } {
  const dead: DeadLetter[] = []
  return {
    dead,
    pipeline: 'test',
    log: silentLog,
    metrics: createMetrics(),
    clock: systemClock,
    stateFolder: mkdtempSync(join(tmpdir(), 'haetae-test-')),
    topics: () => Promise.reject(new HaetaeError('TOPIC_UNKNOWN', 'this test has no topics')),
    positions: noPositions,
    deadLetter: rejected => {
      dead.push(...rejected)
      return Promise.resolve()
    },
    ...overrides,
  }
}

/** An event as a source would read it. Objects are serialised. */
export function eventOf(record: unknown, kind: Kind = 'waf', at?: { stream: string; position: bigint }): Event {
  const raw = Buffer.isBuffer(record)
    ? record
    : Buffer.from(typeof record === 'string' ? record : JSON.stringify(record))
  return new RecordEvent(kind, trimmed(raw), Date.UTC(2026, 10, 24), at)
}

export function encodedOf(event: Event): Encoded {
  return { event, json: event.encode?.() ?? Buffer.from(JSON.stringify(event.body)) }
}
