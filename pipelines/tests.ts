import { isDeepStrictEqual } from 'node:util'
import type { Alert, Deps, Event, Stage } from '../engine/contract.ts'
import { RecordEvent, trimmed } from '../engine/event.ts'
import { reasonCode } from '../engine/measures.ts'
import { runStages } from '../engine/stages.ts'
import type { PipelineConfig } from './load.ts'
import type { PipelineTest } from './pipeline-test.ts'

export interface TestResult {
  readonly pipeline: string
  readonly name: string
  /** Empty when the test passed. */
  readonly failures: readonly string[]
}

/** Runs the tests of a pipeline file through its stages and detectors, without source and sinks. */
export async function runPipelineTests(pipeline: PipelineConfig, deps: Deps): Promise<TestResult[]> {
  const results: TestResult[] = []
  for (const test of pipeline.tests) {
    const stages: { name: string; stage: Stage }[] = []
    for (const { spec, config } of pipeline.stages) {
      stages.push({ name: spec.type, stage: await spec.open(config, deps) })
    }
    const nowMs = deps.clock.now()
    const batch = test.given.map((record, at) => eventOf(record, test.kind ?? pipeline.kind, at, nowMs))
    const { events, rejected, dropped } = await runStages(stages, batch)
    for (const { stage } of stages) await stage.close?.()
    const alerts: Alert[] = []
    for (const { spec, config } of pipeline.detectors) {
      const detector = await spec.open(config, deps)
      detector.detect(events, alert => alerts.push(alert))
    }
    const failures = compare(test, events, {
      alerts,
      rejected: rejected.map(({ reason }) => reasonCode(reason)),
      dropped: dropped.reduce((sum, count) => sum + count, 0),
    })
    results.push({ pipeline: pipeline.name, name: test.name, failures })
  }
  return results
}

function eventOf(record: string | Record<string, unknown>, kind: Event['kind'], at: number, nowMs: number): Event {
  const raw = Buffer.from(typeof record === 'string' ? record : JSON.stringify(record))
  return new RecordEvent(kind, trimmed(raw), nowMs, { stream: 'test/0', position: BigInt(at) })
}

function compare(
  { expect }: PipelineTest,
  events: readonly Event[],
  actual: { readonly rejected: readonly string[]; readonly dropped: number; readonly alerts: readonly Alert[] },
): string[] {
  const failures: string[] = []
  if (expect.events) failures.push(...listDifferences('events', expect.events, events))
  if (expect.alerts) failures.push(...listDifferences('alerts', expect.alerts, actual.alerts))
  if (expect.rejected && !isDeepStrictEqual(expect.rejected, actual.rejected)) {
    failures.push(`expected rejected [${expect.rejected.join(', ')}], got [${actual.rejected.join(', ')}]`)
  }
  if (expect.dropped !== undefined && expect.dropped !== actual.dropped) {
    failures.push(`expected ${expect.dropped} dropped, got ${actual.dropped}`)
  }
  return failures
}

function listDifferences(what: 'events' | 'alerts', wanted: readonly unknown[], events: readonly Event[]): string[] {
  const bodies = events.map(bodyOf)
  const count = bodies.length === wanted.length ? [] : [`expected ${wanted.length} ${what}, got ${bodies.length}`]
  const each = wanted.slice(0, bodies.length).flatMap((body, at) => differences(body, bodies[at], `${what}[${at}]`))
  return [...count, ...each]
}

/** What a sink would get, so that a body with its own encoder is tested by its bytes. */
function bodyOf(event: Event): unknown {
  return JSON.parse(event.encode ? event.encode().toString('utf8') : JSON.stringify(event.body))
}

/** Every place where `wanted` is not contained in `actual`: objects by key, lists and scalars whole. */
export function differences(wanted: unknown, actual: unknown, at: string): string[] {
  if (isRecord(wanted) && isRecord(actual)) {
    return Object.entries(wanted).flatMap(([key, value]) => differences(value, actual[key], `${at}.${key}`))
  }
  if (Array.isArray(wanted) && Array.isArray(actual) && wanted.length === actual.length) {
    return wanted.flatMap((value, index) => differences(value, actual[index], `${at}[${index}]`))
  }
  if (isDeepStrictEqual(wanted, actual)) return []
  return [`${at}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(actual) ?? 'nothing'}`]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
