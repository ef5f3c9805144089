/**
 * A bounded map that forgets what was not used lately: at most `entriesMax` entries, and the half of that used last is always
 * there. Two generations instead of a list in order of use: a hit costs one Map lookup, and nothing is moved.
 */
export class Recent<Key, Value> {
  readonly #half: number
  #young = new Map<Key, Value>()
  #old = new Map<Key, Value>()

  constructor(entriesMax: number) {
    this.#half = Math.max(1, Math.floor(entriesMax / 2))
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.#insert(key, old)
    return old
  }

  /** Only for a key that `get` did not find. */
  add(key: Key, value: Value): void {
    this.#insert(key, value)
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
  }

  #insert(key: Key, value: Value): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}
