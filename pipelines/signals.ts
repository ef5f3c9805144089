import { systemClock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'

/** Repeats of a signal within this time count as one: a terminal and a launcher both send it. */
const REPEAT_MS = 500

/** Calls `stop` on SIGTERM or SIGINT; a second one, a moment later, ends the process without waiting for the drain. */
export function stopOnSignals(stop: () => void, log: Log): void {
  let firstMs: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    const nowMs = systemClock.monotonicMs()
    if (firstMs === undefined) {
      firstMs = nowMs
      log.info('stopping: what was read is being settled', { signal })
      stop()
    } else if (nowMs - firstMs > REPEAT_MS) process.exit(130)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}
