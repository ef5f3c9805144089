/** A Sigma string: literal pieces with wildcards between them, matching a whole value. */
export type Glob = readonly Token[]
export type Token = string | typeof ANY | typeof ONE
/** `*`: any number of characters. */
export const ANY = 0
/** `?`: exactly one UTF-16 code unit. */
const ONE = 1

/**
 * Reads a string as the Sigma specification says ("Escaping"): a backslash makes `*`, `?` and itself literal, and is literal
 * before anything else.
 */
export function parseGlob(text: string): Glob {
  const tokens: Token[] = []
  let literal = ''
  const wildcard = (token: Token): void => {
    if (literal !== '') tokens.push(literal)
    literal = ''
    tokens.push(token)
  }
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!
    const next = text[at + 1]
    if (char === '\\' && (next === '*' || next === '?' || next === '\\')) {
      literal += next
      at++
    } else if (char === '*') wildcard(ANY)
    else if (char === '?') wildcard(ONE)
    else literal += char
  }
  if (literal !== '') tokens.push(literal)
  return joined(tokens)
}

/** Neighbouring literals become one, repeated `*` one. */
export function joined(tokens: readonly Token[]): Glob {
  const out: Token[] = []
  for (const token of tokens) {
    const last = out.at(-1)
    if (typeof token === 'string' && typeof last === 'string') out[out.length - 1] = last + token
    else if (token !== ANY || last !== ANY) out.push(token)
  }
  return out
}

/** The text of a glob without wildcards; undefined if it has any. */
export function plainText(glob: Glob): string | undefined {
  if (glob.length === 0) return ''
  return glob.length === 1 && typeof glob[0] === 'string' ? glob[0] : undefined
}

/** Whether the whole of `text` matches. Leftmost choices between stars are enough, so nothing is tried twice from the start. */
export function matchesGlob(glob: Glob, text: string): boolean {
  const firstStar = glob.indexOf(ANY)
  if (firstStar < 0) return widthOf(glob, 0, glob.length) === text.length && fits(glob, 0, glob.length, text, 0)
  const lastStar = glob.lastIndexOf(ANY)
  const head = widthOf(glob, 0, firstStar)
  const end = text.length - widthOf(glob, lastStar + 1, glob.length)
  if (head > end || !fits(glob, 0, firstStar, text, 0)) return false
  if (!fits(glob, lastStar + 1, glob.length, text, end)) return false
  let at = head
  for (let star = firstStar; star < lastStar; ) {
    const next = glob.indexOf(ANY, star + 1)
    at = find(glob, star + 1, next, text, at, end)
    if (at < 0) return false
    star = next
  }
  return true
}

function widthOf(glob: Glob, from: number, to: number): number {
  let width = 0
  for (let at = from; at < to; at++) {
    const token = glob[at]!
    width += typeof token === 'string' ? token.length : 1
  }
  return width
}

/** Whether tokens without `*` stand at this place of the text. */
function fits(glob: Glob, from: number, to: number, text: string, start: number): boolean {
  let place = start
  for (let at = from; at < to; at++) {
    const token = glob[at]!
    if (typeof token === 'string') {
      if (!text.startsWith(token, place)) return false
      place += token.length
    } else place++
  }
  return place <= text.length
}

/** Where the leftmost occurrence ends, within `start` and `end`; −1 if there is none. */
function find(glob: Glob, from: number, to: number, text: string, start: number, end: number): number {
  const width = widthOf(glob, from, to)
  const first = glob[from]!
  for (let place = start; place + width <= end; place++) {
    if (typeof first === 'string') {
      place = text.indexOf(first, place)
      if (place < 0 || place + width > end) return -1
    }
    if (fits(glob, from, to, text, place)) return place + width
  }
  return -1
}
