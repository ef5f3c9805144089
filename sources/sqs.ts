import { z } from 'zod'
import {
  BATCH_BYTES_MAX,
  type DeadLetter,
  type Delivery,
  type Deps,
  defineSource,
  EVENT_BYTES_MAX,
  type Event,
  logKinds,
  type Source,
} from '../engine/contract.ts'
import { deadLetterOf } from '../engine/dead-letter.ts'
import { RecordEvent, trimmed } from '../engine/event.ts'
import { connectQueue, type QueueMessage } from '../platform/sqs.ts'
import { Inbox } from './queue/inbox.ts'
import { carried } from './queue/message.ts'
import { queueOptions } from './queue/options.ts'

const config = z.strictObject({
  ...queueOptions,
  kind: z.enum(logKinds).describe('What the messages hold: one record each'),
})

/**
 * One record a message: what EventBridge or SNS put into the queue, as it is. A message is deleted when its event is durable
 * everywhere, or in the dead letter.
 */
export const sqs = defineSource({
  type: 'sqs',
  summary: 'Reads an SQS queue, one record a message, such as EventBridge sends; deletes what is durable.',
  config,
  example: `queueUrl: https://sqs.ap-northeast-2.amazonaws.com/123456789012/haetae-guardduty
kind: guardduty
visibilityMs: 120000
waitMs: 20000
receivesMax: 20
`,
  async open({ queueUrl, kind, ...options }, deps): Promise<Source> {
    const inbox = new Inbox(await connectQueue(queueUrl), options, deps, 'sqs')
    const eventOf = ({ body }: QueueMessage): Event =>
      new RecordEvent(kind, trimmed(Buffer.from(carried(body))), deps.clock.now())
    return {
      async read(signal) {
        for (;;) {
          const messages = await inbox.take(BATCH_BYTES_MAX, signal)
          if (messages.length === 0) return undefined
          const delivery = await deliver(messages, eventOf, inbox, deps)
          if (delivery) return delivery
        }
      },
      close: () => inbox.close(),
    }
  },
})

/** undefined when all of them went to the dead letter. */
async function deliver(
  messages: readonly QueueMessage[],
  eventOf: (message: QueueMessage) => Event,
  inbox: Inbox,
  deps: Deps,
): Promise<Delivery | undefined> {
  const batch: Event[] = []
  const taken: string[] = []
  const letters: DeadLetter[] = []
  const refused: string[] = []
  for (const message of messages) {
    const event = eventOf(message)
    const tooLong = event.raw.length > EVENT_BYTES_MAX ? `oversize: ${event.raw.length} bytes` : undefined
    const reason = inbox.poison(message) ?? tooLong
    if (reason === undefined) {
      batch.push(event)
      taken.push(message.receipt)
    } else {
      letters.push(deadLetterOf(event, deps.pipeline, 'sqs', reason, deps.clock.now()))
      refused.push(message.receipt)
    }
  }
  if (letters.length > 0) {
    await deps.deadLetter(letters)
    inbox.leases.done(refused)
  }
  if (batch.length === 0) return undefined
  return {
    batch,
    ack: () => inbox.leases.done(taken),
    // Given back with the rest when the source closes.
    nack: () => undefined,
  }
}
