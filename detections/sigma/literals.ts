import { HaetaeError } from '../../platform/errors.ts'
import { fold, unitsFoldingTo } from './fold.ts'
import type { Place } from './formula.ts'

/** A text that some rule looks for in a field. `text` is folded and not empty. */
export interface Literal {
  readonly id: number
  readonly text: string
  readonly place: Place
}

/** Cells of one table, 4 bytes each. */
const CELLS_MAX = 16_777_216
/** Class of every character that is in no literal. */
const OTHER = 0
/** Class of a byte to look at more closely: beyond ASCII, an escape of JSON, a percent sign. */
const STOP = 0xffff
const PERCENT = 0x25
const BACKSLASH = 0x5c
/** What JSON escapes and leaves as it is: quote, solidus, backslash. */
const STANDS_FOR_ITSELF: readonly number[] = [0x22, 0x2f, BACKSLASH]

const NO_DIGIT = 0xff
const hexDigits = Uint8Array.from({ length: 256 }, (_, code) => {
  const digit = Number.parseInt(String.fromCharCode(code), 16)
  return Number.isNaN(digit) ? NO_DIGIT : digit
})

interface Node {
  readonly children: Map<number, Node>
  readonly ends: Literal[]
  fail: Node | undefined
  /** The next shorter text that ends where this one does. */
  shorter: Node | undefined
  state: number
}

/**
 * Finds all literals of a field in one pass over a value, without regard to case: Aho-Corasick as a table of states by classes of
 * characters. States at which something ends are numbered last, so that a character costs two loads and one comparison.
 */
export class LiteralSearch {
  readonly #table: Int32Array
  readonly #ascii: Uint16Array
  readonly #bytes: Uint16Array
  readonly #others: ReadonlyMap<number, number>
  /** Some literal has characters of two code units, whose case shows only in both together. */
  readonly #astral: boolean
  /** Bytes with which a character beyond ASCII begins that may be in some literal: in UTF-8, or in Latin-1. */
  readonly #leads = new Uint8Array(256)
  /** Characters of the longest literal. */
  readonly #longest: number
  readonly #width: number
  readonly #firstEnd: number
  readonly #ends: readonly Node[]

  /** searchBytes met a percent sign since this was last set to false: what it encodes must be searched as text. */
  sawPercent = false

  constructor(literals: readonly Literal[]) {
    const classes = classesOf(literals)
    this.#width = classes.size + 1
    this.#ascii = Uint16Array.from(
      { length: 128 },
      (_, code) => classes.get(fold(String.fromCharCode(code)).charCodeAt(0)) ?? OTHER,
    )
    this.#bytes = Uint16Array.from({ length: 256 }, (_, code) => this.#ascii[code] ?? STOP)
    for (const char of '%\\') this.#bytes[char.charCodeAt(0)] = STOP
    this.#others = withFamilies(classes)
    this.#astral = literals.some(({ text }) => /[\ud800-\udfff]/.test(text))
    for (const code of this.#others.keys()) {
      this.#leads[Buffer.from(String.fromCharCode(code))[0]!] = 1
      if (code < 256) this.#leads[code] = 1
    }
    this.#longest = literals.reduce((longest, { text }) => Math.max(longest, text.length), 0)
    const { order, firstEnd } = numbered(trieOf(literals, classes))
    if (order.length * this.#width > CELLS_MAX)
      throw new HaetaeError(
        'CONFIG_INVALID',
        `the rules name more texts for one field than fit in ${CELLS_MAX} cells: load fewer`,
      )
    this.#firstEnd = firstEnd * this.#width
    this.#ends = order.slice(firstEnd)
    this.#table = new Int32Array(order.length * this.#width)
    this.#fill(order)
  }

  /** First bytes in UTF-8 of the characters beyond ASCII, of whatever case, that are in some literal. */
  firstBytes(): readonly number[] {
    const leads = new Set([...this.#others.keys()].map(code => Buffer.from(String.fromCharCode(code))[0]!))
    if (this.#astral) for (let lead = 0xf0; lead <= 0xf4; lead++) leads.add(lead)
    return [...leads]
  }

  /** Shorter nodes first: what a node has no child for, its failure node knows already. */
  #fill(order: readonly Node[]): void {
    const table = this.#table
    const width = this.#width
    const root = order.find(({ fail }) => fail === undefined)!
    const queue: Node[] = [root]
    for (let at = 0; at < queue.length; at++) {
      const node = queue[at]!
      const row = node.state * width
      if (node.fail) table.copyWithin(row, node.fail.state * width, node.fail.state * width + width)
      for (const [letter, child] of node.children) {
        table[row + letter] = child.state * width
        queue.push(child)
      }
    }
  }

  /** Calls `found` with the id of each literal that is in its place in `text`, once or several times. */
  search(given: string, found: (id: number) => void): void {
    const table = this.#table
    const ascii = this.#ascii
    const firstEnd = this.#firstEnd
    const text = this.#astral ? fold(given) : given
    let state = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      state = table[state + (code < 128 ? ascii[code]! : (this.#others.get(code) ?? OTHER))]!
      if (state >= firstEnd) this.#report(state, at + 1, text.length, found)
    }
  }

  /**
   * The same for a range of JSON, from the state that a range before it left (0 at first): gives the state behind it. −1 when it does
   * not stand there byte for character; then the text must be made and searched. Places do not count.
   */
  searchBytes(bytes: Uint8Array, from: number, to: number, start: number, found: (id: number) => void): number {
    const table = this.#table
    const classes = this.#bytes
    const firstEnd = this.#firstEnd
    let state = start
    for (let at = from; at < to; at++) {
      let letter = classes[bytes[at]!]!
      if (letter === STOP) {
        if (bytes[at] === PERCENT) this.sawPercent = true
        else if (bytes[at] !== BACKSLASH || !STANDS_FOR_ITSELF.includes(bytes[++at]!)) return -1
        letter = this.#ascii[bytes[at]!]!
      }
      state = table[state + letter]!
      if (state >= firstEnd) this.#report(state, 0, 0, found)
    }
    return state
  }

  /**
   * The same as `search` for a string of JSON, given by its bytes between the quotes. False when it has to be made and searched:
   * something in it is escaped, encoded or beyond ASCII; some may have been found by then.
   */
  searchString(bytes: Uint8Array, from: number, to: number, found: (id: number) => void): boolean {
    const table = this.#table
    const classes = this.#bytes
    const firstEnd = this.#firstEnd
    let state = 0
    for (let at = from; at < to; at++) {
      const letter = classes[bytes[at]!]!
      if (letter === STOP) return false
      state = table[state + letter]!
      if (state >= firstEnd) this.#report(state, at + 1 - from, to - from, found)
    }
    return true
  }

  /**
   * What a range of JSON hides behind percent signs: finds each literal of which a part is encoded, once and as ASCII, and perhaps
   * others of the range. `percentAt` is its first percent sign. False when the text must be made, decoded and searched instead.
   */
  searchDecoded(bytes: Buffer, from: number, to: number, percentAt: number, found: (id: number) => void): boolean {
    if (this.#astral) return false
    const table = this.#table
    const firstEnd = this.#firstEnd
    let state = 0
    let next = percentAt
    let at = Math.max(from, next - this.#longest)
    while (at < to) {
      let letter: number
      if (at < next) letter = this.#bytes[bytes[at++]!]!
      else {
        letter = this.#encoded(bytes, at, to)
        at += 3
        next = bytes[at] === PERCENT ? at : bytes.indexOf(PERCENT, at)
        if (next < 0 || next > to) next = to
      }
      if (letter === STOP) return false
      state = table[state + letter]!
      if (state >= firstEnd) this.#report(state, 0, 0, found)
      if (state !== 0) continue
      // No literal has begun: the next that matters reaches to the next percent sign.
      if (next === to) return true
      at = Math.max(at, next - this.#longest)
    }
    return true
  }

  /** Class of what is encoded at a percent sign; STOP if it is none, is a percent sign again, or may belong to some literal's character. */
  #encoded(bytes: Uint8Array, at: number, to: number): number {
    const high = at + 2 < to ? hexDigits[bytes[at + 1]!]! : NO_DIGIT
    const low = at + 2 < to ? hexDigits[bytes[at + 2]!]! : NO_DIGIT
    if (high === NO_DIGIT || low === NO_DIGIT) return STOP
    const code = high * 16 + low
    if (code >= 128) return this.#leads[code] === 1 ? STOP : OTHER
    return code === PERCENT ? STOP : this.#ascii[code]!
  }

  #report(state: number, end: number, length: number, found: (id: number) => void): void {
    let node: Node | undefined = this.#ends[(state - this.#firstEnd) / this.#width]
    for (; node; node = node.shorter) {
      for (const { id, text, place } of node.ends) {
        if ((place === 'start' || place === 'whole') && end !== text.length) continue
        if ((place === 'end' || place === 'whole') && end !== length) continue
        found(id)
      }
    }
  }
}

/** The classes of code units beyond ASCII, of whatever case. */
function withFamilies(classes: ReadonlyMap<number, number>): Map<number, number> {
  const others = new Map<number, number>()
  for (const [code, letter] of classes)
    for (const unit of unitsFoldingTo(String.fromCharCode(code))) others.set(unit, letter)
  return others
}

function classesOf(literals: readonly Literal[]): Map<number, number> {
  const classes = new Map<number, number>()
  for (const { text } of literals) {
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (!classes.has(code)) classes.set(code, classes.size + 1)
    }
  }
  return classes
}

function trieOf(literals: readonly Literal[], classes: ReadonlyMap<number, number>): Node {
  const made = (): Node => ({ children: new Map(), ends: [], fail: undefined, shorter: undefined, state: 0 })
  const root = made()
  for (const literal of literals) {
    let node = root
    for (let at = 0; at < literal.text.length; at++) {
      const letter = classes.get(literal.text.charCodeAt(at))!
      const next = node.children.get(letter) ?? made()
      node.children.set(letter, next)
      node = next
    }
    node.ends.push(literal)
  }
  return root
}

/** Sets the links and numbers the nodes: the root 0, those at which nothing ends before the others. */
function numbered(root: Node): { readonly order: readonly Node[]; readonly firstEnd: number } {
  const queue: Node[] = [root]
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at]!
    for (const [letter, child] of node.children) {
      let fail = node.fail
      while (fail && !fail.children.has(letter)) fail = fail.fail
      child.fail = fail?.children.get(letter) ?? root
      child.shorter = child.fail.ends.length > 0 ? child.fail : child.fail.shorter
      queue.push(child)
    }
  }
  const isEnd = ({ ends, shorter }: Node): boolean => ends.length > 0 || shorter !== undefined
  const quiet = queue.filter(node => !isEnd(node))
  const order = [...quiet, ...queue.filter(isEnd)]
  for (const [state, node] of order.entries()) node.state = state
  return { order, firstEnd: quiet.length }
}
