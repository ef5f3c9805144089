import type { Topics } from '../../platform/topics/contract.ts'
import { pause } from '../support/program.ts'
import type { Random } from '../support/random.ts'
import type { Issued, Ledger } from './records.ts'

export interface Producer {
  /** Sends new records until stop(). */
  run(): Promise<void>
  /** Ends run() when all that was sent is acknowledged: what is not is sent again and again. */
  stop(): void
  /** Ends run() with what is not acknowledged. */
  abandon(): void
  readonly acknowledged: number
  /** Requests that were sent again because no good answer came. */
  readonly repeated: number
}

const RECORDS_MAX = 40
const REQUESTS_PAUSE_MS = 200
const AGAIN_MS = 250
/** The first answer to every so manieth request is not heard: some repeats come in any round. */
const DEAF_EVERY = 16
const ANSWER_MS_MAX = 60_000

/** A Firehose delivery stream: one request after another; one without its 200 is sent again, with its request id, until it has it. */
export function httpProducer(url: string, key: string, name: string, ledger: Ledger, random: Random): Producer {
  let requests = 0
  return repeating(ledger, random, issued => {
    const requestId = `${name}-${requests++}`
    const records = issued.map(({ raw }) => ({ data: raw.toString('base64') }))
    const body = JSON.stringify({ requestId, timestamp: Date.now(), records })
    let deaf = requests % DEAF_EVERY === 1
    return async () => {
      const isDone = (await post(url, key, requestId, body)) === 200 && !deaf
      deaf = false
      return isDone ? [] : issued
    }
  })
}

/** Past ingest, into the topic itself. */
export function topicProducer(topics: Topics, topic: string, ledger: Ledger, random: Random): Producer {
  return repeating(ledger, random, () => async left => {
    const records = left.map(({ raw, facts }) => ({ key: facts.address, value: raw, timeMs: facts.timeMs }))
    try {
      const { retry } = await topics.append(topic, records)
      return retry.map(index => left[index]!)
    } catch {
      return left
    }
  })
}

/** Gives what must be sent again. */
type Send = (left: readonly Issued[]) => Promise<readonly Issued[]>

function repeating(ledger: Ledger, random: Random, prepare: (issued: readonly Issued[]) => Send): Producer {
  let running = true
  let abandoned = false
  const counts = { acknowledged: 0, repeated: 0 }
  return {
    get acknowledged() {
      return counts.acknowledged
    },
    get repeated() {
      return counts.repeated
    },
    stop() {
      running = false
    },
    abandon() {
      running = false
      abandoned = true
    },
    async run() {
      while (running) {
        const issued = Array.from({ length: random.int(1, RECORDS_MAX) }, () => ledger.issue())
        const send = prepare(issued)
        for (let left: readonly Issued[] = issued; left.length > 0 && !abandoned; ) {
          const undone = new Set(await send(left))
          for (const each of left) {
            if (undone.has(each)) continue
            each.acknowledged = true
            counts.acknowledged++
          }
          left = left.filter(each => undone.has(each))
          if (left.length > 0) {
            counts.repeated++
            await pause(AGAIN_MS)
          }
        }
        await pause(REQUESTS_PAUSE_MS)
      }
    },
  }
}

/** Undefined when there was no answer. */
async function post(url: string, key: string, requestId: string, body: string): Promise<number | undefined> {
  try {
    const answer = await fetch(`${url}/firehose/waf`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-amz-firehose-protocol-version': '1.0',
        'x-amz-firehose-request-id': requestId,
        'x-amz-firehose-access-key': key,
      },
      body,
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return undefined
  }
}
