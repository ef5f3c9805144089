import type { Deps, Encoded, Sink } from '../../engine/contract.ts'
import { recordId } from '../../engine/event.ts'
import type { Log } from '../../platform/log.ts'
import { opensearch } from '../../sinks/opensearch.ts'
import { FakeClock } from './clock.ts'
import { encodedOf, eventOf, testDeps } from './deps.ts'

export const NOW_MS = Date.UTC(2026, 10, 24, 12)
export const DAY_MS = 86_400_000
export const never = new AbortController().signal

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export function recordingLog(): Log & { readonly lines: Line[] } {
  const lines: Line[] = []
  const at =
    (level: Line['level']) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void lines.push({ level, message, fields })
  const log = { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return log
}

export interface OpenedSink {
  readonly sink: Sink
  readonly deps: Deps
  readonly clock: FakeClock
  readonly lines: Line[]
  /** Value of one metric line, by its start; 0 when there is none. */
  readonly metric: (start: string) => Promise<number>
}

/** The sink against `url`, each write a request of its own (waitMs 0), at NOW_MS on a clock that stands still. */
export async function openAgainst(
  url: string,
  config: object = {},
  overrides: Partial<Deps> = {},
): Promise<OpenedSink> {
  const clock = new FakeClock(NOW_MS)
  const log = recordingLog()
  const deps = testDeps({ clock, log, ...overrides })
  const sink = await opensearch.open(opensearch.config.parse({ url, waitMs: 0, ...config }), deps)
  const metric = async (start: string): Promise<number> => {
    const line = (await deps.metrics.expose()).split('\n').find(each => each.startsWith(start))
    return line === undefined ? 0 : Number(line.split(' ').at(-1))
  }
  return { sink, deps, clock, lines: log.lines, metric }
}

/** A record whose document is `body` (with its id as metadata.uid). */
export function record(body: object, timeMs = NOW_MS): Encoded {
  const event = eventOf(body)
  event.timeMs = timeMs
  event.body = {
    ...body,
    time: timeMs,
    metadata: { version: '1.8.0', uid: event.id, product: { name: 'x', vendor_name: 'y' } },
  }
  return encodedOf(event)
}

export function records(count: number, from = 0): Encoded[] {
  return Array.from({ length: count }, (_, at) => record({ message: `record ${from + at}` }))
}

export const idOf = (body: object): string => recordId(Buffer.from(JSON.stringify(body)))
