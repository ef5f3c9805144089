import type { Appended, FetchedRecord, TopicConfig, TopicRecord, Topics } from '../../platform/topics/contract.ts'

/** Topics in memory, one partition each, for components that append and read compacted topics. */
export class MemoryTopics implements Topics {
  readonly ensured = new Map<string, TopicConfig>()
  readonly appended: { readonly topic: string; readonly records: readonly TopicRecord[] }[] = []
  readonly #newest = new Map<string, Map<string, { readonly record: TopicRecord; readonly offset: bigint }>>()
  #offset = 0n
  /** Called before each append; what it returns says what becomes of it. */
  fate: (topic: string, records: readonly TopicRecord[]) => 'taken' | 'lost' | 'unanswered' = () => 'taken'

  ensure(config: TopicConfig): Promise<void> {
    this.ensured.set(config.name, config)
    return Promise.resolve()
  }

  append(topic: string, records: readonly TopicRecord[]): Promise<Appended> {
    const fate = this.fate(topic, records)
    if (fate === 'lost') return Promise.reject(new Error('the append was lost'))
    this.appended.push({ topic, records })
    const newest = this.#newest.get(topic) ?? new Map()
    this.#newest.set(topic, newest)
    for (const record of records) newest.set(record.key ?? '', { record, offset: this.#offset++ })
    if (fate === 'unanswered') return Promise.reject(new Error('the answer was lost'))
    return Promise.resolve({ retry: [], repeated: false })
  }

  async *readCompacted(
    topic: string,
    wants: (key: string) => boolean = () => true,
  ): AsyncGenerator<FetchedRecord & { readonly partition: number }> {
    // As of now: what is appended meanwhile is not of it.
    const newest = [...(this.#newest.get(topic)?.values() ?? [])]
    for (const { record, offset } of newest) {
      await Promise.resolve()
      if (record.value !== null && wants(record.key ?? '')) yield { ...record, offset, partition: 0 }
    }
  }

  /** The newest value of each key, as JSON. */
  values(topic: string): unknown[] {
    const newest = [...(this.#newest.get(topic)?.values() ?? [])]
    return newest.flatMap(({ record: { value } }) => (value === null ? [] : [JSON.parse(String(value))]))
  }

  subscribe(): Promise<never> {
    return Promise.reject(new Error('nothing subscribes here'))
  }

  lag(): Promise<readonly never[]> {
    return Promise.resolve([])
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
