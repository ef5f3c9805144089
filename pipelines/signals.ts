import { systemClock } from '../platform/clock.ts'
import { asError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'

/** Repeats of a signal within this time count as one: a terminal and a launcher both send it. */
const REPEAT_MS = 500
/** After the drain: what a delivery that was given up, and closing, may take. */
const CLOSE_MS_MAX = 20_000

export interface OnSignals {
  readonly stop: () => void
  readonly reload: () => Promise<unknown>
  /** What a stop may take to settle what was read. */
  readonly drainMs: number
  readonly log: Log
}

/**
 * SIGTERM and SIGINT stop; a second one, a moment later, ends the process without waiting for the drain, and so does a component that
 * has not closed long after it. SIGHUP reloads, unless it says that our terminal is gone: then it stops, too.
 */
export function onSignals({ stop, reload, drainMs, log }: OnSignals): void {
  let firstMs: number | undefined
  const onStop = (signal: NodeJS.Signals): void => {
    const nowMs = systemClock.monotonicMs()
    if (firstMs === undefined) {
      firstMs = nowMs
      log.info('stopping: what was read is being settled', { signal })
      setTimeout(() => {
        log.error('stopping took too long: what is not settled is read again by the next process', { drainMs })
        process.exit(1)
      }, drainMs + CLOSE_MS_MAX).unref()
      stop()
    } else if (nowMs - firstMs > REPEAT_MS) process.exit(130)
  }
  process.on('SIGTERM', onStop)
  process.on('SIGINT', onStop)
  const atTerminal = process.stdout.isTTY || process.stderr.isTTY
  process.on('SIGHUP', signal => {
    if (atTerminal) onStop(signal)
    else reload().catch((thrown: unknown) => log.error('reload failed', { error: asError(thrown).message }))
  })
}
