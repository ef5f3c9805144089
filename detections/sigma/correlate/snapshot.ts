import { z } from 'zod'
import type { StatePart } from '../../../engine/contract.ts'
import { countingOf, type Group, type Groups, PARTS, partOf, type StreamGroups } from './groups.ts'
import type { RunningCorrelation } from './resolve.ts'
import { Window } from './window.ts'

/** The part with what is of the stream as a whole. */
const HEAD = PARTS

const head = z.object({ watermarkMs: z.number().nullable() })
const line = z.object({
  correlation: z.string(),
  /** Of the correlation as it was then: what was counted otherwise is of no use. */
  counting: z.string(),
  key: z.string(),
  entries: z.array(z.tuple([z.number(), z.string(), z.int().min(0), z.string()])),
  alerted: z.array(z.int()),
  evidences: z.array(z.tuple([z.number(), z.string(), z.string()])),
})
type Line = z.output<typeof line>

/** The parts that changed since this was asked last; no bytes where nothing is left. Groups in the order of their use. */
export function snapshotOf(
  stream: StreamGroups,
  correlations: ReadonlyMap<string, RunningCorrelation>,
): readonly StatePart[] {
  const texts = new Map<number, string[]>()
  for (const part of stream.changed) texts.set(part, [])
  for (const [id, table] of stream.tables) {
    const correlation = correlations.get(id)
    if (!correlation) continue
    const counting = fingerprint(correlation)
    for (const [key, group] of table) texts.get(group.part)?.push(JSON.stringify(lineOf(id, counting, key, group)))
  }
  stream.changed.clear()
  const watermarkMs = Number.isFinite(stream.watermarkMs) ? stream.watermarkMs : null
  return [
    { part: HEAD, bytes: Buffer.from(JSON.stringify({ watermarkMs })) },
    ...[...texts].map(([part, lines]) => ({ part, bytes: Buffer.from(lines.join('\n')) })),
  ]
}

/** The stream must be new. Everything counts as changed: the next snapshot is whole. Throws what JSON or zod throw at broken bytes. */
export function restored(
  groups: Groups,
  name: string,
  parts: readonly StatePart[],
  correlations: ReadonlyMap<string, RunningCorrelation>,
): void {
  const stream = groups.stream(name)
  for (let part = 0; part < PARTS; part++) stream.changed.add(part)
  for (const { part, bytes } of parts) {
    const text = Buffer.from(bytes).toString('utf8')
    if (part === HEAD) stream.watermarkMs = head.parse(JSON.parse(text)).watermarkMs ?? Number.NEGATIVE_INFINITY
    else
      for (const each of text === '' ? [] : text.split('\n'))
        putBack(groups, name, line.parse(JSON.parse(each)), correlations)
  }
}

function lineOf(correlation: string, counting: string, key: string, { window, evidences }: Group): Line {
  return {
    correlation,
    counting,
    key,
    entries: window.entries.map(({ timeMs, uid, rule, value }) => [timeMs, uid, rule, value]),
    alerted: [...window.alerted],
    evidences: evidences.map(({ timeMs, uid, json }) => [timeMs, uid, json]),
  }
}

function putBack(
  groups: Groups,
  name: string,
  { correlation: id, counting, key, entries, alerted, evidences }: Line,
  correlations: ReadonlyMap<string, RunningCorrelation>,
): void {
  const correlation = correlations.get(id)
  if (!correlation || counting !== fingerprint(correlation)) return
  const counted = entries.map(([timeMs, uid, rule, value]) => ({ timeMs, uid, rule, value }))
  groups.put(name, id, key, {
    window: new Window(countingOf(correlation), counted, alerted),
    evidences: evidences.map(([timeMs, uid, json]) => ({ timeMs, uid, json })),
    part: partOf(id, key),
    bytes: 0,
  })
}

function fingerprint({ type, timespanMs, atLeast, groupBy, valueField, bases }: RunningCorrelation): string {
  return JSON.stringify([type, timespanMs, atLeast, groupBy, valueField ?? null, bases.map(({ rule }) => rule.id)])
}
