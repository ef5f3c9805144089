export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

export const writeBackoff: Backoff = { firstMs: 100, maxMs: 30_000 }

/**
 * Exponential with "equal jitter": between half and the whole of the doubled wait, so that many writers that failed
 * together do not come back together, yet none comes back at once. `attempt` counts from 0.
 */
export function backoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  const ceiling = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + (random() * ceiling) / 2
}
