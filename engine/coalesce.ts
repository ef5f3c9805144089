import type { Clock } from '../platform/clock.ts'
import type { Encoded, Sink, Verdict } from './contract.ts'
import { checkPositions } from './write.ts'

export interface Limits {
  readonly recordsMax: number
  readonly bytesMax: number
  /** How long the first of the waiting calls may wait for company. */
  readonly waitMs: number
}

interface Call {
  readonly records: readonly Encoded[]
  readonly bytes: number
  readonly signal: AbortSignal
  resolve(verdict: Verdict): void
  reject(error: unknown): void
}

/**
 * Gathers several write() calls into one request, for sinks that want bigger requests than one delivery. A call is
 * never split, so a request exceeds a limit only when a single call does. The verdict is handed back to each call in
 * its own positions; an error of `flush` is the error of every call in that request.
 */
export function coalesce(limits: Limits, flush: Sink['write'], clock: Clock): Required<Pick<Sink, 'write' | 'drain'>> {
  let waiting: Call[] = []
  let records = 0
  let bytes = 0
  let timer = new AbortController()

  const send = (): void => {
    const calls = waiting
    timer.abort()
    timer = new AbortController()
    waiting = []
    records = 0
    bytes = 0
    if (calls.length === 0) return
    const all = calls.length === 1 ? calls[0]!.records : calls.flatMap(call => call.records)
    void request(calls, all)
  }

  const request = async (calls: readonly Call[], all: readonly Encoded[]): Promise<void> => {
    try {
      // One signal serves the request: all calls come from one pipeline and are given up together.
      const verdict = await flush(all, calls[0]!.signal)
      // Here, because a position outside the request is inside no call: sharing would lose it.
      checkPositions(verdict, all.length, 'a coalesced request')
      share(calls, verdict)
    } catch (error) {
      for (const call of calls) call.reject(error)
    }
  }

  return {
    write(batch, signal) {
      const batchBytes = batch.reduce((sum, record) => sum + record.json.length, 0)
      if (records + batch.length > limits.recordsMax || bytes + batchBytes > limits.bytesMax) send()
      return new Promise((resolve, reject) => {
        waiting.push({ records: batch, bytes: batchBytes, signal, resolve, reject })
        records += batch.length
        bytes += batchBytes
        if (records >= limits.recordsMax || bytes >= limits.bytesMax || limits.waitMs === 0) send()
        else if (waiting.length === 1) {
          const { signal: replaced } = timer
          void clock.wait(limits.waitMs, replaced).then(() => {
            if (!replaced.aborted) send()
          })
        }
      })
    },
    drain: send,
  }
}

/** Cuts one verdict over the whole request into one verdict a call. */
function share(calls: readonly Call[], verdict: Verdict): void {
  let start = 0
  for (const call of calls) {
    const end = start + call.records.length
    const own = (index: number): boolean => index >= start && index < end
    const from = start
    call.resolve({
      retry: verdict.retry.filter(own).map(index => index - from),
      reject: verdict.reject
        .filter(rejection => own(rejection.index))
        .map(rejection => ({ index: rejection.index - from, reason: rejection.reason })),
      ...(verdict.later ? { later: verdict.later } : {}),
      ...(verdict.retryAfterMs === undefined ? {} : { retryAfterMs: verdict.retryAfterMs }),
    })
    start = end
  }
}
