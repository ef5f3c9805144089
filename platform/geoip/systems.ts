import type { AutonomousSystem } from '../ocsf/event.ts'

const NUMBER_MAX = 0xffffffff
const COMMA = 0x2c
const PLACES_FIRST = 4096
const BYTES_FIRST = 64 * 1024

/**
 * The systems of a CSV file, each once: 515,000 ranges belong to 80,000. Kept as the file writes them, `number,"name"` one after
 * the other: an object for each would take five times the memory, and an hour of traffic asks for few.
 */
export class Systems {
  /** Place 0 is "nothing" and has no bytes. */
  #count = 1
  /** Where the mention of a place begins; it ends where the next begins. */
  #starts = new Uint32Array(PLACES_FIRST)
  #mentions = Buffer.alloc(BYTES_FIRST)
  #byNumber = new Map<number, number>()
  /** For numbers that the file gives several names. */
  #byMention = new Map<string, number>()

  /** Of the `number,"name"` between `start` and `end` of a text with one character a byte; -1 when there is no number. */
  place(text: string, start: number, end: number): number {
    let number = 0
    let at = start
    for (; at < end; at++) {
      const digit = text.charCodeAt(at) - 0x30
      if (!(digit >= 0 && digit <= 9)) break
      number = number * 10 + digit
    }
    if (at === start || number > NUMBER_MAX || (at < end && text.charCodeAt(at) !== COMMA)) return -1
    const known = this.#byNumber.get(number)
    if (known === undefined) {
      const place = this.#add(text.slice(start, end))
      this.#byNumber.set(number, place)
      return place
    }
    if (this.#isMention(known, text, start, end)) return known
    const other = text.slice(start, end)
    const named = this.#byMention.get(other)
    if (named !== undefined) return named
    const place = this.#add(other)
    // A key of its own: a slice would keep its whole chunk in memory.
    this.#byMention.set(Buffer.from(other, 'latin1').toString('latin1'), place)
    return place
  }

  system(place: number): AutonomousSystem {
    const mention = this.#mentions.subarray(this.#starts[place]!, this.#starts[place + 1]!)
    const comma = mention.indexOf(COMMA)
    const number = Number(mention.toString('latin1', 0, comma < 0 ? mention.length : comma))
    const name = comma < 0 ? '' : unquoted(mention.toString('utf8', comma + 1))
    return name ? { number, name } : { number }
  }

  /** After the last `place`: gives back what only that needs. */
  trim(): this {
    this.#starts = this.#starts.slice(0, this.#count + 1)
    this.#mentions = Buffer.from(this.#mentions.subarray(0, this.#starts[this.#count]!))
    this.#byNumber = new Map()
    this.#byMention = new Map()
    return this
  }

  #add(mention: string): number {
    const place = this.#count++
    if (place + 1 === this.#starts.length) this.#starts = grown(this.#starts)
    const start = this.#starts[place]!
    const end = start + mention.length
    if (end > this.#mentions.length) this.#mentions = Buffer.concat([this.#mentions], Math.max(end, start * 2))
    this.#mentions.write(mention, start, 'latin1')
    this.#starts[place + 1] = end
    return place
  }

  #isMention(place: number, text: string, start: number, end: number): boolean {
    const from = this.#starts[place]!
    if (this.#starts[place + 1]! - from !== end - start) return false
    for (let at = 0; at < end - start; at++) {
      if (this.#mentions[from + at] !== text.charCodeAt(start + at)) return false
    }
    return true
  }
}

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2)
  larger.set(array)
  return larger
}

function unquoted(field: string): string {
  const quoted = field.length > 1 && field.startsWith('"') && field.endsWith('"')
  return quoted ? field.slice(1, -1).replaceAll('""', '"') : field
}
