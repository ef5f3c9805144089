import { Bucket } from '../../platform/notify/bucket.ts'

const MINUTE_MS = 60_000

/**
 * How often a channel may be written to: new messages 5 at once and one a minute, critical ones 5 and one in 10 s; edits and
 * thread replies together 4 and two a minute. Without critical ones no ten minutes see more than 39 calls.
 */
export class Pace {
  readonly parents = new Bucket(5, MINUTE_MS)
  readonly criticals = new Bucket(5, 10_000)
  readonly changes = new Bucket(4, 30_000)
}

/** How long what was posted stays as it is while it changes: 15 s in the first minute, 1 min in the first ten, then 5 min. */
export function editEveryMs(ageMs: number): number {
  if (ageMs < MINUTE_MS) return 15_000
  return ageMs < 10 * MINUTE_MS ? MINUTE_MS : 5 * MINUTE_MS
}
