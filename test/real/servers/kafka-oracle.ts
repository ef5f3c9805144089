import type { Topics } from '../../../platform/topics/contract.ts'
import { numbered, options, take } from '../../topics/support.ts'

/** A producer that remembers what it was told is durable. */
export class Recorder {
  readonly acknowledged = new Set<string>()
  readonly #topics: Topics
  readonly #topic: string
  #next = 0
  #running = true
  /** Records that were given back, each time counted. */
  givenBack = 0

  constructor(topics: Topics, topic: string) {
    this.#topics = topics
    this.#topic = topic
  }

  /** Appends until stop(), sending again what is given back, as the topic sink does. */
  async run(recordsAtOnce = 40): Promise<void> {
    while (this.#running) {
      let records = numbered(recordsAtOnce, this.#next)
      this.#next += recordsAtOnce
      while (records.length > 0) {
        const { retry } = await this.#topics.append(this.#topic, records)
        const again = new Set(retry)
        for (const [index, { value }] of records.entries()) if (!again.has(index)) this.acknowledged.add(String(value))
        records = records.filter((_, index) => again.has(index))
        this.givenBack += records.length
      }
    }
  }

  stop(): void {
    this.#running = false
  }
}

/** Which of these values are not in the topic. Reads it from the start, to its end as it is now. */
export async function missingFrom(topics: Topics, topic: string, values: ReadonlySet<string>): Promise<string[]> {
  const { group, ...rest } = options(topic)
  const subscription = await topics.subscribe({ group, ...rest })
  const total = (await topics.lag()).filter(lag => lag.group === group).reduce((sum, { end }) => sum + Number(end), 0)
  const seen = new Set<string>()
  for (const { records } of await take(subscription, total)) {
    for (const { value } of records) seen.add(String(value))
  }
  await subscription.close()
  return [...values].filter(value => !seen.has(value))
}
