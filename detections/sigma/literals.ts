import { HaetaeError } from '../../platform/errors.ts'
import { fold } from './fold.ts'
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
  readonly #ascii: Uint8Array
  readonly #others: ReadonlyMap<number, number>
  readonly #width: number
  readonly #firstEnd: number
  readonly #ends: readonly Node[]

  constructor(literals: readonly Literal[]) {
    const classes = classesOf(literals)
    this.#width = classes.size + 1
    this.#ascii = Uint8Array.from(
      { length: 128 },
      (_, code) => classes.get(fold(String.fromCharCode(code)).charCodeAt(0)) ?? OTHER,
    )
    this.#others = classes
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
  search(text: string, found: (id: number) => void): void {
    const table = this.#table
    const ascii = this.#ascii
    const firstEnd = this.#firstEnd
    let state = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code > 127) return this.#searchFolded(fold(text), found)
      state = table[state + ascii[code]!]!
      if (state >= firstEnd) this.#report(state, at + 1, text.length, found)
    }
  }

  #searchFolded(text: string, found: (id: number) => void): void {
    let state = 0
    for (let at = 0; at < text.length; at++) {
      state = this.#table[state + (this.#others.get(text.charCodeAt(at)) ?? OTHER)]!
      if (state >= this.#firstEnd) this.#report(state, at + 1, text.length, found)
    }
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
