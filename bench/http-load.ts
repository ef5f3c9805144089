/** The client of bench/http.ts, a process of its own so that its CPU time is not counted: sends Firehose requests as fast as they are answered. */
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { generateWaf } from './generate.ts'

export interface LoadOptions {
  readonly port: number
  readonly key: string
  readonly requests: number
  /** Sent before the measured ones. */
  readonly warmUp: number
  readonly recordsPerRequest: number
  readonly connections: number
  readonly gzip: boolean
}

export type LoadMessage =
  | { readonly is: 'warm' }
  | { readonly is: 'done'; readonly bodyBytes: number; readonly notStored: number }

/** Different bodies, used in turn under ever new request ids. */
const BODIES = 8

const options: LoadOptions = JSON.parse(process.argv[2] ?? '{}')
const bodies = makeBodies()
let sent = 0
let bodyBytes = 0
let notStored = 0

await sendAll(options.warmUp)
tell({ is: 'warm' })
await new Promise(resolve => process.once('message', resolve))
bodyBytes = 0
await sendAll(options.requests)
tell({ is: 'done', bodyBytes, notStored })
process.disconnect()

function tell(message: LoadMessage): void {
  process.send?.(message)
}

function makeBodies(): Buffer[] {
  const count = options.recordsPerRequest * BODIES
  const records = [...generateWaf({ seed: 1, count, startMs: Date.UTC(2026, 10, 23), durationMs: 3_600_000 })]
  return Array.from({ length: BODIES }, (_, n) => {
    const mine = records.slice(n * options.recordsPerRequest, (n + 1) * options.recordsPerRequest)
    const texts = mine.map(record => `{"data":"${Buffer.from(record).toString('base64')}"}`)
    const rest = Buffer.from(`"timestamp":1764028800000,"records":[${texts.join(',')}]}`)
    return options.gzip ? gzipSync(rest) : rest
  })
}

/** One request: the id is in the head and in the body, so the body begins anew each time. */
function message(): Buffer[] {
  const id = `${process.pid}-${sent}`
  const rest = bodies[sent++ % BODIES]!
  const start = Buffer.from(`{"requestId":"${id}",`)
  // Two gzip members one after the other are one gzip body.
  const first = options.gzip ? gzipSync(start) : start
  bodyBytes += first.length + rest.length
  const head = [
    'POST /firehose/waf HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/json',
    'X-Amz-Firehose-Protocol-Version: 1.0',
    `X-Amz-Firehose-Request-Id: ${id}`,
    `X-Amz-Firehose-Access-Key: ${options.key}`,
    ...(options.gzip ? ['Content-Encoding: gzip'] : []),
    `Content-Length: ${first.length + rest.length}`,
  ]
  return [Buffer.from(`${head.join('\r\n')}\r\n\r\n`), first, rest]
}

async function sendAll(count: number): Promise<void> {
  const last = sent + count
  await Promise.all(
    Array.from({ length: options.connections }, async () => {
      const socket = connect(options.port, '127.0.0.1')
      // An answer is small and comes in one piece.
      for (const answers = socket[Symbol.asyncIterator](); sent < last; ) {
        for (const piece of message()) socket.write(piece)
        const answer = await answers.next()
        if (answer.done || (answer.value as Buffer).toString('latin1', 9, 12) !== '200') notStored++
        if (answer.done) break
      }
      socket.destroy()
    }),
  )
}
