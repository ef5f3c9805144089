import type { Deps } from '../engine/contract.ts'
import { backoffMs, writeBackoff } from '../platform/backoff.ts'
import { asError, type Cure, cureOf, HaetaeError, PERSON_WAIT_MS } from '../platform/errors.ts'

/** The process stops before a component was open: no failure of anything. */
export class Stopped extends Error {}

/**
 * Opens a component, again and again while that may help. What only a person can mend is asked for now and then, and `paused` says
 * what it is as long as it lasts. The log says once that it waits, for time or for a person, and once that it goes on. Rejects with
 * Stopped when `signal` aborts, and at once with an error that no other try can mend.
 */
export async function openOrWait<C>(
  open: () => Promise<C>,
  type: string,
  { log, clock, paused }: Pick<Deps, 'log' | 'clock' | 'paused'>,
  signal: AbortSignal,
): Promise<C> {
  let waitsFor: Cure | undefined
  try {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const component = await open()
        if (waitsFor !== undefined) log.info('a component that was waited for is open', { component: type })
        return component
      } catch (thrown) {
        const cure = cureOf(thrown)
        if (cure === 'fatal') throw thrown
        const forPerson = cure === 'person'
        const error = explained(thrown)
        if (cure !== waitsFor) {
          const what = forPerson ? 'cannot start until somebody acts' : 'cannot start yet'
          log.warn(`a component ${what}: it is tried again`, { component: type, error })
        }
        paused?.(type, forPerson ? error : undefined)
        waitsFor = cure
        await clock.wait(forPerson ? PERSON_WAIT_MS : backoffMs(writeBackoff, attempt, Math.random), signal)
      }
    }
    throw new Stopped()
  } finally {
    if (waitsFor !== undefined) paused?.(type, undefined)
  }
}

function explained(thrown: unknown): string {
  const error = asError(thrown)
  return error instanceof HaetaeError ? `${error.code}: ${error.message}` : error.message
}
