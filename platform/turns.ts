/** Tasks that take turns: each begins when the one before it has ended, however that was. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** What the task gives, or its failure. */
  take<T>(task: () => Promise<T>): Promise<T> {
    const next = this.#last.then(task)
    this.#last = next.catch(() => undefined)
    return next
  }

  /** Resolves when every task that was given so far has ended. Never rejects. */
  async ended(): Promise<void> {
    await this.#last
  }
}
