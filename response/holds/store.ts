import { asError, HaetaeError } from '../../platform/errors.ts'
import { holdSchema } from '../../platform/response/hold.ts'
import type { TopicRecord, Topics } from '../../platform/topics/contract.ts'
import { type Changes, Ledger } from './ledger.ts'
import { type StateRecord, stateKey, stateSchema } from './state.ts'

export interface LedgerTopics {
  readonly holds: string
  readonly state: string
  readonly audit: string
}

/** The ledger as it is kept in topics: `holds` and `holds.state` compacted, `audit` for ever. */
export class LedgerStore {
  readonly #topics: Topics
  readonly #names: LedgerTopics
  readonly #now: () => number

  constructor(topics: Topics, names: LedgerTopics, now: () => number) {
    this.#topics = topics
    this.#names = names
    this.#now = now
  }

  /** Throws TOPIC_CORRUPT for a record that this version cannot read: a ledger known in part would release what it does not know. */
  async load(): Promise<Ledger> {
    const ledger = new Ledger()
    for await (const { key, value } of this.#topics.readCompacted(this.#names.holds)) {
      ledger.restore(this.#parsed(this.#names.holds, key, value, json => holdSchema.parse(json)))
    }
    for await (const { key, value } of this.#topics.readCompacted(this.#names.state)) {
      ledger.restoreState(this.#parsed(this.#names.state, key, value, json => stateSchema.parse(json)))
    }
    return ledger
  }

  /**
   * Resolves when everything is durable. What is known comes first and what is told after it: a death in between is mended by
   * `Ledger.unaudited`. What is in the IP sets has happened already, so it is told first; what is forgotten comes last, as nothing
   * could tell of it any more. After an error part of it may be there.
   * Nothing more is begun once `signal` aborts: the ledger is another's then.
   */
  async save({ holds, forgotten, states, clearedStates, audits }: Changes, signal: AbortSignal): Promise<void> {
    const { holds: holdsTopic, state: stateTopic, audit: auditTopic } = this.#names
    const ofSets = (state: StateRecord): boolean => state.type === 'entry'
    const stored = (some: readonly StateRecord[]) => some.map(state => this.#record(stateKey(state), state))
    const parts: readonly (readonly [string, readonly TopicRecord[]])[] = [
      [holdsTopic, holds.map(hold => this.#record(hold.uid, hold))],
      [stateTopic, stored(states.filter(state => !ofSets(state)))],
      [auditTopic, audits.map(audit => this.#record(audit.target ?? audit.what, audit))],
      [stateTopic, stored(states.filter(ofSets))],
      [holdsTopic, forgotten.map(uid => this.#record(uid, null))],
      [stateTopic, clearedStates.map(state => this.#record(stateKey(state), null))],
    ]
    for (const [topic, records] of parts) {
      signal.throwIfAborted()
      await this.#append(topic, records)
    }
  }

  async #append(topic: string, records: readonly TopicRecord[]): Promise<void> {
    if (records.length === 0) return
    const { retry, refused = [] } = await this.#topics.append(topic, records)
    const [first] = refused
    if (first) throw new HaetaeError('TOPIC_OVERSIZE', `${topic} does not take a record: ${first.reason}`)
    if (retry.length > 0) throw new Error(`${topic}: ${retry.length} of ${records.length} records were not stored`)
  }

  #record(key: string, content: object | null): TopicRecord {
    const value = content === null ? null : Buffer.from(JSON.stringify(content))
    return { key, value, timeMs: this.#now() }
  }

  #parsed<T>(topic: string, key: string | undefined, value: Buffer | null, parse: (json: unknown) => T): T {
    try {
      return parse(JSON.parse(String(value)))
    } catch (cause) {
      const message = `${topic}: the record ${key ?? ''} cannot be read: ${asError(cause).message}`.slice(0, 300)
      throw new HaetaeError('TOPIC_CORRUPT', `${message}: nothing is blocked or released until it can`, { cause })
    }
  }
}
