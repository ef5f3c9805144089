import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Encoded, Sink } from '../../engine/contract.ts'
import { firehose } from '../../sinks/firehose.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'

interface Put {
  readonly DeliveryStreamName: string
  readonly Records: readonly { readonly Data: string }[]
}
interface Answer {
  readonly status: number
  readonly body: object
}

/** Requests as they came in, and what the next ones are answered; by default everything is taken. */
const puts: Put[] = []
let answers: ((put: Put) => Answer | 'hang-up')[] = []
const taken = ({ Records }: Put): Answer => ({
  status: 200,
  body: { FailedPutCount: 0, RequestResponses: Records.map((_, at) => ({ RecordId: `r${at}` })) },
})
const refused =
  (code: string, status = 400) =>
  (): Answer => ({ status, body: { __type: code, message: 'no' } })

const server = createServer((request, response) => void answered(request, response))

async function answered(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const put = JSON.parse(Buffer.concat(parts).toString()) as Put
  puts.push(put)
  const answer = (answers.shift() ?? taken)(put)
  if (answer === 'hang-up') response.destroy()
  else
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(answer.body))
}
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
if (address === null || typeof address === 'string') throw new Error('no port')
vi.stubEnv('AWS_ENDPOINT_URL_FIREHOSE', `http://127.0.0.1:${address.port}`)
vi.stubEnv('AWS_REGION', 'ap-northeast-2')
vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAIOSFODNN7EXAMPLE')
vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  puts.length = 0
  answers = []
})

const signal = new AbortController().signal
const recordOf = (text: string): Encoded => ({ event: eventOf('{}'), json: Buffer.from(text) })
const linesOf = (put: Put): string[] => put.Records.map(({ Data }) => Buffer.from(Data, 'base64').toString())

async function opened(given: object = {}): Promise<Sink & { readonly paused: (string | undefined)[] }> {
  const paused: (string | undefined)[] = []
  const deps = testDeps({ clock: new FakeClock(), paused: (_, reason) => void paused.push(reason) })
  const sink = await firehose.open(firehose.config.parse({ stream: 'security', waitMs: 0, ...given }), deps)
  return Object.assign(sink, { paused })
}

describe('the firehose sink', () => {
  it('puts each event as a line of its own', async () => {
    const sink = await opened()
    expect(await sink.write([recordOf('{"a":1}'), recordOf('{"b":2}')], signal)).toEqual({ retry: [], reject: [] })
    expect(puts.map(put => [put.DeliveryStreamName, linesOf(put)])).toEqual([['security', ['{"a":1}\n', '{"b":2}\n']]])
    await sink.close()
  })

  it('names the positions that were not taken, and only those', async () => {
    const sink = await opened()
    answers = [
      ({ Records }) => ({
        status: 200,
        body: {
          FailedPutCount: 2,
          RequestResponses: Records.map((_, at) =>
            at === 1 || at === 3
              ? { ErrorCode: 'ServiceUnavailableException', ErrorMessage: 'slow' }
              : { RecordId: 'r' },
          ),
        },
      }),
    ]
    const verdict = await sink.write(['a', 'b', 'c', 'd'].map(recordOf), signal)
    expect(verdict).toEqual({ retry: [1, 3], reject: [], retryAfterMs: 1_000 })
    await sink.close()
  })

  it('takes an answer that is shorter than what it sent for records that were not taken', async () => {
    const sink = await opened()
    answers = [() => ({ status: 200, body: { FailedPutCount: 0, RequestResponses: [{ RecordId: 'r' }] } })]
    expect((await sink.write(['a', 'b'].map(recordOf), signal)).retry).toEqual([1])
    await sink.close()
  })

  it('keeps requests within 500 records and 4 MiB, and never reorders positions', async () => {
    const sink = await opened()
    const records = Array.from({ length: 1_203 }, (_, at) => recordOf(`{"n":${at}}`))
    expect(await sink.write(records, signal)).toEqual({ retry: [], reject: [] })
    expect(puts.map(({ Records }) => Records.length)).toEqual([500, 500, 203])
    puts.length = 0
    const large = Array.from({ length: 10 }, () => recordOf('x'.repeat(900_000)))
    answers = [taken, refused('ServiceUnavailableException', 503), taken]
    const verdict = await sink.write(large, signal)
    expect(verdict).toEqual({ retry: [4, 5, 6, 7], reject: [], retryAfterMs: 1_000 })
    for (const put of puts) {
      expect(linesOf(put).reduce((sum, line) => sum + line.length, 0)).toBeLessThanOrEqual(4 * 1024 * 1024)
    }
    await sink.close()
  })

  it('rejects an event that Firehose would never take, and puts its neighbours', async () => {
    const sink = await opened()
    const verdict = await sink.write([recordOf('a'), recordOf('x'.repeat(1_024_001)), recordOf('c')], signal)
    expect(verdict).toEqual({
      retry: [],
      reject: [{ index: 1, reason: 'oversize: 1024001 bytes, Firehose takes 1000 KiB' }],
    })
    expect(puts.flatMap(linesOf)).toEqual(['a\n', 'c\n'])
    await sink.close()
  })

  it.each(['hang-up', refused('LimitExceededException'), refused('InternalFailure', 500)])(
    'gives everything back when nothing is known of it, without asking a person (%#)',
    async answer => {
      const sink = await opened()
      answers = [typeof answer === 'string' ? () => 'hang-up' : answer]
      expect(await sink.write(['a', 'b'].map(recordOf), signal)).toEqual({
        retry: [0, 1],
        reject: [],
        retryAfterMs: 1_000,
      })
      expect([puts.length, sink.paused]).toEqual([1, []])
      await sink.close()
    },
  )

  it('says why it is paused while the stream refuses us, leaves it alone meanwhile, and says when that is over', async () => {
    const sink = await opened()
    answers = [refused('AccessDeniedException'), refused('AccessDeniedException')]
    expect((await sink.write([recordOf('a')], signal)).retryAfterMs).toBe(30_000)
    await sink.write([recordOf('a')], signal)
    expect(sink.paused).toEqual([expect.stringMatching(/^security: AccessDeniedException/)])
    expect(await sink.write([recordOf('a')], signal)).toEqual({ retry: [], reject: [] })
    expect(sink.paused.slice(1)).toEqual([undefined])
    await sink.close()
  })
})
