/** When a lag is ordinary, and when it is so again: what bench/recovery.ts judges its samples by. */

export interface LagSample {
  readonly atMs: number
  readonly records: number
}

/** What the lag was while nothing happened. */
export interface Band {
  readonly median: number
  readonly most: number
}

/** Undefined while the samples do not reach back `ms` before the newest. */
export function bandOf(samples: readonly LagSample[], ms: number): Band | undefined {
  const sinceMs = (samples.at(-1)?.atMs ?? 0) - ms
  if (!samples.some(({ atMs }) => atMs <= sinceMs)) return undefined
  const sorted = samples
    .filter(({ atMs }) => atMs >= sinceMs)
    .map(({ records }) => records)
    .sort((a, b) => a - b)
  return { median: sorted[Math.floor(sorted.length / 2)]!, most: sorted.at(-1)! }
}

/**
 * The band of the last `ms`, when it is one: a backlog that is still worked off is higher in the first half than in the second, and
 * consumers that do not keep up the other way round. Undefined else.
 */
export function steadyBand(samples: readonly LagSample[], ms: number): Band | undefined {
  const all = bandOf(samples, ms)
  const late = bandOf(samples, ms / 2)
  const halfMs = (samples.at(-1)?.atMs ?? 0) - ms / 2
  const early = bandOf(
    samples.filter(({ atMs }) => atMs <= halfMs),
    ms / 2,
  )
  if (!all || !late || !early) return undefined
  const apart = Math.max(early.median, late.median) / Math.max(1, Math.min(early.median, late.median))
  return apart <= MEDIANS_APART_MAX ? all : undefined
}
const MEDIANS_APART_MAX = 1.5

/**
 * The moment from which the lag was within `most` for `staysMs` without a break, of samples that begin at the kill; undefined when
 * there is none yet. A lag that never left the band was never away: then it is the first sample.
 */
export function backSince(samples: readonly LagSample[], most: number, staysMs: number): number | undefined {
  let sinceMs: number | undefined
  for (const { atMs, records } of samples) {
    if (records > most) sinceMs = undefined
    else sinceMs ??= atMs
    if (sinceMs !== undefined && atMs - sinceMs >= staysMs) return sinceMs
  }
  return undefined
}
