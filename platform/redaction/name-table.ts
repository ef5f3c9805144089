/** Longer ones are no names. */
export const NAME_CHARS_MAX = 64

/** `Access-Token`, `access_token` and `accessToken` are one name, whatever blanks stand around it. */
function normalised(name: string): string {
  return withoutBlanks(name)
    .replace(/[-_]/g, '')
    .replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

/** Without blanks and control characters at its ends, as many as there are: a server may well ignore them. */
function withoutBlanks(name: string): string {
  let from = 0
  let to = name.length
  while (to > from && name.charCodeAt(to - 1) <= BLANK) to--
  while (from < to && name.charCodeAt(from) <= BLANK) from++
  return name.slice(from, to)
}

const HASH_BITS = 12
const ANSWERS_MAX = 1_000
const BLANK = 0x20
const DASH = 0x2d
const UNDERSCORE = 0x5f

interface Entry {
  /** As normalised, one character for each byte of its UTF-8. */
  readonly written: string
  readonly roles: number
}

/** What names mean, as bits; 0 = nothing. Case, `-`, `_` and blanks around a name do not matter. */
export class NameTable {
  readonly #roles = new Map<string, number>()
  /** Answers given lately: names repeat. */
  readonly #answers = new Map<string, number>()
  /**
   * For each first letter (its low five bits) the set of last ones: tells most other names apart by two bytes. Around `-` and `_`,
   * which do not count, it says nothing.
   */
  readonly #lastByFirst = new Int32Array(32).fill(bit(DASH) | bit(UNDERSCORE))
  /** The names with each hash. */
  readonly #byHash = new Array<readonly Entry[] | undefined>(1 << HASH_BITS).fill(undefined)

  constructor(entries: Iterable<readonly [name: string, roles: number]>) {
    for (const [name, roles] of entries) {
      const key = normalised(name)
      if (key !== '') this.#roles.set(key, (this.#roles.get(key) ?? 0) | roles)
    }
    this.#lastByFirst[DASH & 31] = -1
    this.#lastByFirst[UNDERSCORE & 31] = -1
    for (const [name, roles] of this.#roles) {
      const bytes = Buffer.from(name)
      const hash = hashOf(bytes, 0, bytes.length)
      this.#byHash[hash] = [...(this.#byHash[hash] ?? []), { written: bytes.toString('latin1'), roles }]
      this.#lastByFirst[bytes[0]! & 31]! |= bit(bytes.at(-1)!)
    }
  }

  of(name: string): number {
    if (name.length > NAME_CHARS_MAX) return this.#ofLong(name)
    let answer = this.#answers.get(name)
    if (answer === undefined) {
      if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear()
      answer = this.#roles.get(normalised(name)) ?? 0
      this.#answers.set(name, answer)
    }
    return answer
  }

  #ofLong(name: string): number {
    const bare = withoutBlanks(name)
    return bare.length > NAME_CHARS_MAX ? 0 : this.of(bare)
  }

  /** `of` a name that is written in UTF-8, without escapes. */
  ofBytes(bytes: Uint8Array, start: number, end: number): number {
    // A JSON string holds no other blank unescaped.
    let from = start
    let to = end
    while (to > from && bytes[to - 1] === BLANK) to--
    while (from < to && bytes[from] === BLANK) from++
    if (((this.#lastByFirst[bytes[from]! & 31]! >>> (bytes[to - 1]! & 31)) & 1) === 0) return 0
    if (to - from > NAME_CHARS_MAX) return 0
    const entries = this.#byHash[hashOf(bytes, from, to)]
    if (entries === undefined) return 0
    for (const { written, roles } of entries) if (isWritten(written, bytes, from, to)) return roles
    return 0
  }
}

/** 1 at the place of a byte's low five bits. */
function bit(byte: number): number {
  return 1 << (byte & 31)
}

/** Of a name as normalised. */
function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte !== DASH && byte !== UNDERSCORE) hash = (Math.imul(hash, 31) + (byte | 0x20)) | 0
  }
  return (hash ^ (hash >>> HASH_BITS)) & ((1 << HASH_BITS) - 1)
}

/** Whether the bytes are this name, in any case and with any dashes. */
function isWritten(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  let matched = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte === DASH || byte === UNDERSCORE) continue
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (matched === name.length || lower !== name.charCodeAt(matched)) return false
    matched++
  }
  return matched === name.length
}
