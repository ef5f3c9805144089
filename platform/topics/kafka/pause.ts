import { type Backoff, backoffMs } from '../../backoff.ts'

/** A leader or coordinator is chosen anew within seconds. */
const BROKER_BACKOFF: Backoff = { firstMs: 100, maxMs: 2_000 }

/** How long to wait before try number `attempt` (from 0) is repeated. */
export function pauseMs(attempt: number): number {
  return backoffMs(BROKER_BACKOFF, attempt, Math.random)
}
