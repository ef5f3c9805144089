import { type Program, pause } from './program.ts'

export interface FirehoseRequest {
  readonly requestId: string
  /** What makes each record of the request recognisable in the lake: http_request.uid. */
  readonly recordIds: readonly string[]
  readonly body: string
}

export interface ClientOptions {
  readonly name: string
  readonly recordsPerRequest: number
  /** Sends a request whose answer was lost again, with its request id, as Firehose does. */
  readonly repeats: boolean
  readonly paddingBytes?: number
}

/** A delivery stream: sends requests one after another and remembers which records were acknowledged. */
export class FirehoseClient {
  readonly acknowledged = new Set<string>()
  readonly sent = new Set<string>()
  readonly #options: ClientOptions
  #sequence = 0
  #unanswered: FirehoseRequest | undefined
  repeated = 0
  refused = 0

  constructor(options: ClientOptions) {
    this.#options = options
  }

  /** Sends until `signal` aborts; a lost connection ends it early. */
  async send(program: Program, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const request = (this.#options.repeats ? this.#unanswered : undefined) ?? this.next()
      if (request === this.#unanswered) this.repeated++
      this.#unanswered = request
      const status = await post(program, request)
      if (status === undefined) return
      if (status === 200) {
        for (const id of request.recordIds) this.acknowledged.add(id)
        this.#unanswered = undefined
      } else {
        this.refused++
        await pause(20)
      }
    }
  }

  /** Sends what was left unanswered until it is acknowledged. */
  async finish(program: Program): Promise<void> {
    while (this.#options.repeats && this.#unanswered) {
      const status = await post(program, this.#unanswered)
      if (status === 200) {
        for (const id of this.#unanswered.recordIds) this.acknowledged.add(id)
        this.#unanswered = undefined
        this.repeated++
      } else await pause(100)
    }
  }

  next(): FirehoseRequest {
    const { name, recordsPerRequest, paddingBytes = 0 } = this.#options
    const requestId = `${name}-${this.#sequence++}`
    const recordIds = Array.from({ length: recordsPerRequest }, (_, at) => `${requestId}-${at}`)
    for (const id of recordIds) this.sent.add(id)
    const records = recordIds.map((id, at) => ({ data: recordOf(id, at, paddingBytes).toString('base64') }))
    return { requestId, recordIds, body: JSON.stringify({ requestId, timestamp: Date.now(), records }) }
  }
}

/** Undefined when there was no answer. */
export async function post(program: Program, request: FirehoseRequest): Promise<number | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${program.ingestPort}/firehose/waf`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-amz-firehose-protocol-version': '1.0',
        'x-amz-firehose-request-id': request.requestId,
        'x-amz-firehose-access-key': program.key,
      },
      body: request.body,
    })
    await answer.arrayBuffer()
    return answer.status
  } catch {
    return undefined
  }
}

function recordOf(id: string, at: number, paddingBytes: number): Buffer {
  const record = {
    timestamp: Date.now(),
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/11111111-2222-3333-4444-555555555555',
    terminatingRuleId: 'Default_Action',
    terminatingRuleType: 'REGULAR',
    action: 'ALLOW',
    httpSourceName: 'ALB',
    httpSourceId: '123456789012-app/shop/50dc6c495c0c9188',
    httpRequest: {
      clientIp: `198.51.${at % 256}.${(at * 7) % 256}`,
      country: 'KR',
      headers: [
        { name: 'Host', value: 'shop.example' },
        { name: 'X-Padding', value: 'p'.repeat(paddingBytes) },
      ],
      uri: '/products/1',
      args: '',
      httpVersion: 'HTTP/2.0',
      httpMethod: 'GET',
      requestId: id,
    },
  }
  return Buffer.from(JSON.stringify(record))
}
