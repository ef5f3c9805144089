import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, vi } from 'vitest'

interface Held {
  readonly body: string
  receives: number
  /** Set while it is hidden; a new one at each receiving, and an old one is worth nothing. */
  receipt: string | undefined
}

/** The part of SQS that Haetae uses, in this process (AWS JSON 1.0 protocol). Time does not pass in it: `expire` says when it does. */
export interface FakeSqs {
  /** Of the queue of this test. */
  queueUrl: string
  readonly messages: readonly Held[]
  /** Requests by action, as they came in: `DeleteMessageBatch 3`. */
  readonly requests: string[]
  /** Asked for every request; what it gives is answered and nothing is done. */
  refuse: (action: string) => { readonly status: number; readonly code: string } | undefined
  /** Asked for every entry of a batch: true is answered as a failure of that entry. */
  failEntry: (action: string, at: number) => boolean
  send(...bodies: string[]): void
  /** Another, empty queue: requests on their way to the one before find nothing. */
  fresh(): void
  /** The time of everything hidden is over. */
  expire(): void
  stop(): Promise<void>
}

interface Asked {
  readonly QueueUrl: string
  readonly VisibilityTimeout?: number
  readonly Entries?: readonly {
    readonly Id: string
    readonly ReceiptHandle: string
    readonly VisibilityTimeout?: number
  }[]
}

async function startFakeSqs(): Promise<FakeSqs> {
  const held: Held[] = []
  const requests: string[] = []
  const server = createServer((request, response) => void answer(fake, held, request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const url = `http://127.0.0.1:${address.port}`
  const fake: FakeSqs = {
    queueUrl: `${url}/123456789012/haetae`,
    messages: held,
    requests,
    refuse: () => undefined,
    failEntry: () => false,
    send: (...bodies) => void held.push(...bodies.map(body => ({ body, receives: 0, receipt: undefined }))),
    fresh() {
      fake.queueUrl = `${url}/123456789012/haetae-${randomUUID()}`
      held.length = 0
      requests.length = 0
      fake.refuse = () => undefined
      fake.failEntry = () => false
    },
    expire() {
      for (const message of held) message.receipt = undefined
    },
    async stop() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return fake
}

/** For the tests of one file: found by whoever looks for AWS in the environment, and stopped after the last of them. */
export async function fakeSqsOfTests(): Promise<FakeSqs> {
  const sqs = await startFakeSqs()
  vi.stubEnv('AWS_ENDPOINT_URL_SQS', new URL(sqs.queueUrl).origin)
  vi.stubEnv('AWS_REGION', 'ap-northeast-2')
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAIOSFODNN7EXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')
  afterAll(() => sqs.stop())
  return sqs
}

async function answer(fake: FakeSqs, held: Held[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const asked = JSON.parse(Buffer.concat(parts).toString()) as Asked
  const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '')
  if (asked.QueueUrl !== fake.queueUrl) {
    response.end('{}')
    return
  }
  fake.requests.push(asked.Entries ? `${action} ${asked.Entries.length}` : action)
  const refusal = fake.refuse(action)
  response.setHeader('content-type', 'application/x-amz-json-1.0')
  if (refusal) {
    response.statusCode = refusal.status
    response.end(JSON.stringify({ __type: `com.amazonaws.sqs#${refusal.code}`, message: 'refused by the test' }))
    return
  }
  response.end(JSON.stringify(action === 'ReceiveMessage' ? received(held) : changed(fake, held, action, asked)))
}

function received(held: Held[]): object {
  const visible = held.filter(({ receipt }) => receipt === undefined).slice(0, 10)
  for (const message of visible) {
    message.receives++
    message.receipt = randomUUID()
  }
  const Messages = visible.map(({ body, receipt, receives }) => ({
    MessageId: randomUUID(),
    ReceiptHandle: receipt,
    Body: body,
    MD5OfBody: createHash('md5').update(body).digest('hex'),
    Attributes: { ApproximateReceiveCount: String(receives) },
  }))
  return Messages.length > 0 ? { Messages } : {}
}

function changed(fake: FakeSqs, held: Held[], action: string, { Entries = [] }: Asked): object {
  const Successful: object[] = []
  const Failed: object[] = []
  for (const [at, { Id, ReceiptHandle, VisibilityTimeout }] of Entries.entries()) {
    const message = held.find(({ receipt }) => receipt === ReceiptHandle)
    if (!message || fake.failEntry(action, at)) {
      Failed.push({ Id, SenderFault: !message, Code: message ? 'InternalError' : 'ReceiptHandleIsInvalid' })
      continue
    }
    if (action === 'DeleteMessageBatch') held.splice(held.indexOf(message), 1)
    else if (VisibilityTimeout === 0) message.receipt = undefined
    Successful.push({ Id })
  }
  return { Successful, Failed }
}
