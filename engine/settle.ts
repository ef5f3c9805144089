import { HaetaeError } from '../platform/errors.ts'
import type { Delivery } from './contract.ts'
import { GaveUp } from './write.ts'

export interface Settle {
  ack(): void
  nack(cause: Error): void
}

/** Holds the closures only, so that a spooled delivery does not keep its batch alive; a second call is a fault of ours. */
export function settleOnce({ ack, nack }: Delivery): Settle {
  let settled = false
  const first = (): void => {
    if (settled) throw new HaetaeError('ACK_TWICE', 'a delivery was settled twice: a fault in the engine')
    settled = true
  }
  return {
    ack() {
      first()
      ack()
    },
    nack(cause) {
      first()
      nack(cause)
    },
  }
}

/** The promise, or GaveUp as soon as `signal` aborts. Leaves no listener behind. */
export async function orGiveUp<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let giveUp = (): void => undefined
  const gaveUp = new Promise<never>((_, reject) => {
    giveUp = () => reject(new GaveUp('stopped before everything held back was durable'))
    if (signal.aborted) giveUp()
    signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([promise, gaveUp])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
