/**
 * Offsets of one partition, acked in any order, committed in order. The one place where an acknowledged event could be
 * lost: what is committed never passes an offset that is still outstanding, and a revoked partition commits nothing.
 */
export interface Checkpoint {
  /** Registers records read up to and including `lastOffset`. Offsets ascend. */
  track(lastOffset: bigint): { ack(): void }
  /** The highest offset at and below which nothing is outstanding; undefined before the first or after `revoke`. */
  committable(): bigint | undefined
  /** After a rebalance took the partition away: later acks change nothing. */
  revoke(): void
  readonly outstanding: number
}

interface Tracked {
  readonly lastOffset: bigint
  acked: boolean
}

export function trackOffsets(): Checkpoint {
  // A queue with a moving head: acks arrive in any order, the head advances over the acked prefix.
  let queue: Tracked[] = []
  let head = 0
  let highest: bigint | undefined
  let lastTracked = -1n
  let revoked = false

  const advance = (): void => {
    while (head < queue.length && queue[head]!.acked) {
      highest = queue[head]!.lastOffset
      head++
    }
    if (head > 1024 && head * 2 > queue.length) {
      queue = queue.slice(head)
      head = 0
    }
  }

  return {
    track(lastOffset) {
      if (lastOffset <= lastTracked) {
        throw new RangeError(`offset ${lastOffset} was tracked after ${lastTracked}: offsets of a partition ascend`)
      }
      lastTracked = lastOffset
      const entry: Tracked = { lastOffset, acked: false }
      queue.push(entry)
      return {
        ack() {
          if (revoked || entry.acked) return
          entry.acked = true
          advance()
        },
      }
    },
    committable: () => (revoked ? undefined : highest),
    revoke() {
      revoked = true
      queue = []
      head = 0
    },
    get outstanding() {
      return queue.length - head
    },
  }
}
