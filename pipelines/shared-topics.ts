import type { GroupLag, Topics } from '../platform/topics/contract.ts'

/** The topics of one process, opened by whoever needs them first. A failure is not kept: the next one who asks tries anew. */
export class SharedTopics<T extends Topics = Topics> {
  readonly #open: () => Promise<T>
  #opening: Promise<T> | undefined
  #topics: T | undefined

  constructor(open: () => Promise<T>) {
    this.#open = open
  }

  get(): Promise<T> {
    this.#opening ??= this.#begin()
    return this.#opening
  }

  async #begin(): Promise<T> {
    try {
      this.#topics = await this.#open()
      return this.#topics
    } catch (error) {
      this.#opening = undefined
      throw error
    }
  }

  /** What waits for each group; nothing while nobody has opened the topics. */
  async lag(): Promise<readonly GroupLag[]> {
    return this.#topics?.lag() ?? []
  }

  /** To be called after everybody who uses them has ended. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    await this.#topics?.close()
  }
}
