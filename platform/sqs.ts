import type { SQSClient } from '@aws-sdk/client-sqs'
import { isAwsRefusal } from './aws-refusal.ts'
import { asError, HaetaeError } from './errors.ts'

/** One message as it was received. The receipt is of this receiving alone. */
export interface QueueMessage {
  readonly receipt: string
  readonly body: string
  /** How often it was received so far, this time included. */
  readonly receives: number
}

/**
 * One SQS queue. Calls reject with QUEUE_REFUSED when a person must act, and with QUEUE_AWAY when waiting may help; short
 * hiccups are tried again inside. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
 */
export interface Queue {
  /** At most MESSAGES_MAX; none when `waitMs` went by, or when `signal` aborted. */
  receive(visibilityMs: number, waitMs: number, signal: AbortSignal): Promise<readonly QueueMessage[]>
  /** At most MESSAGES_MAX. Returns the receipts that the queue did not take: they may be old, or it may be busy. */
  remove(receipts: readonly string[]): Promise<readonly string[]>
  /** At most MESSAGES_MAX. The messages stay hidden for so long from now on; returns the receipts that were not taken. */
  hide(receipts: readonly string[], visibilityMs: number): Promise<readonly string[]>
  close(): void
}

/** Of one request, as SQS has it. */
export const MESSAGES_MAX = 10
const ATTEMPTS_MAX = 4
const CONNECT_MS_MAX = 5_000
/** Longer than the longest wait for a message, 20 s. */
const SILENT_MS_MAX = 30_000

/**
 * Credentials and Region come from where AWS programs look for them; AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL names another server
 * than AWS's. Does not connect yet.
 */
export async function connectQueue(url: string): Promise<Queue> {
  const aws = await import('@aws-sdk/client-sqs')
  const client = new aws.SQSClient({
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: { connectionTimeout: CONNECT_MS_MAX, socketTimeout: SILENT_MS_MAX },
  })
  return new SqsQueue(aws, client, url)
}

type Aws = typeof import('@aws-sdk/client-sqs')

class SqsQueue implements Queue {
  readonly #aws: Aws
  readonly #client: SQSClient
  readonly #url: string

  constructor(aws: Aws, client: SQSClient, url: string) {
    this.#aws = aws
    this.#client = client
    this.#url = url
  }

  async receive(visibilityMs: number, waitMs: number, signal: AbortSignal): Promise<readonly QueueMessage[]> {
    const command = new this.#aws.ReceiveMessageCommand({
      QueueUrl: this.#url,
      MaxNumberOfMessages: MESSAGES_MAX,
      VisibilityTimeout: Math.ceil(visibilityMs / 1000),
      WaitTimeSeconds: Math.ceil(waitMs / 1000),
      MessageSystemAttributeNames: ['ApproximateReceiveCount'],
    })
    try {
      const { Messages = [] } = await this.#client.send(command, { abortSignal: signal })
      return Messages.flatMap(({ ReceiptHandle, Body, Attributes }) => {
        if (ReceiptHandle === undefined) return []
        const receives = Number(Attributes?.ApproximateReceiveCount ?? 1)
        return [{ receipt: ReceiptHandle, body: Body ?? '', receives }]
      })
    } catch (thrown) {
      if (signal.aborted) return []
      throw this.#trouble(thrown)
    }
  }

  async remove(receipts: readonly string[]): Promise<readonly string[]> {
    const Entries = receipts.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle }))
    const command = new this.#aws.DeleteMessageBatchCommand({ QueueUrl: this.#url, Entries })
    return this.#failed(receipts, this.#client.send(command))
  }

  async hide(receipts: readonly string[], visibilityMs: number): Promise<readonly string[]> {
    const VisibilityTimeout = Math.ceil(visibilityMs / 1000)
    const Entries = receipts.map((ReceiptHandle, at) => ({ Id: String(at), ReceiptHandle, VisibilityTimeout }))
    const command = new this.#aws.ChangeMessageVisibilityBatchCommand({ QueueUrl: this.#url, Entries })
    return this.#failed(receipts, this.#client.send(command))
  }

  close(): void {
    this.#client.destroy()
  }

  /** A 200 can hold failures: by entry, named by their position. */
  async #failed(
    receipts: readonly string[],
    answer: Promise<{ readonly Failed?: readonly { readonly Id?: string | undefined }[] | undefined }>,
  ): Promise<readonly string[]> {
    try {
      const { Failed = [] } = await answer
      return Failed.flatMap(({ Id }) => receipts[Number(Id)] ?? [])
    } catch (thrown) {
      throw this.#trouble(thrown)
    }
  }

  #trouble(thrown: unknown): HaetaeError {
    const { name, message } = asError(thrown)
    const said = `the queue ${this.#url}: ${name}: ${message}`.slice(0, 500)
    return new HaetaeError(isAwsRefusal(thrown, REFUSALS) ? 'QUEUE_REFUSED' : 'QUEUE_AWAY', said, { cause: thrown })
  }
}

/** Errors of SQS that only a person can mend. */
const REFUSALS =
  /QueueDoesNotExist|NonExistentQueue|InvalidAddress|InvalidSecurity|UnsupportedOperation|Kms(AccessDenied|NotFound|Disabled|InvalidState|InvalidKeyUsage|OptInRequired)/
