const PAUSE_MS = 100
const PAUSE_MS_MAX = 2_000

/** How long to wait before try number `attempt` (from 0) is repeated: doubling, with jitter. */
export function pauseMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** Math.min(attempt, 10)) * (0.5 + random() / 2)
}
