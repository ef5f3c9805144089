import { RE2JS } from 're2js'
import { asError } from '../../platform/errors.ts'
import { Refused } from './refusal.ts'

/** Longer ones are refused: a program of RE2 grows with its pattern. */
const PATTERN_CHARS_MAX = 1_000
/** What a pattern sees of a value. RE2 takes time in proportion, and no URL or header that AWS lets through is as long. */
export const PATTERN_TEXT_CHARS_MAX = 65_536
/** Answers that are remembered for one pattern: what rules look at by pattern are names of hosts and products, which repeat. */
const ANSWERS_MAX = 512

/** A regular expression on a linear-time engine (RE2), whatever it says: no pattern and no request makes it slow. */
export class Pattern {
  readonly source: string
  readonly flags: string
  readonly #program: RE2JS
  #answers = new Map<string, boolean>()

  /** `flags`: any of i, m, s, as Sigma's sub-modifiers. Throws Refused for what RE2 has not: look-around, back-references. */
  constructor(source: string, flags: string) {
    if (source.length > PATTERN_CHARS_MAX)
      throw new Refused('bounds', `a regular expression has at most ${PATTERN_CHARS_MAX} characters`)
    this.source = source
    this.flags = flags
    try {
      this.#program = RE2JS.compile(source, flagBits(flags))
    } catch (thrown) {
      throw new Refused('pattern', `${asError(thrown).message}; there is no look-around and no back-reference`)
    }
  }

  /** Whether it matches somewhere in the first PATTERN_TEXT_CHARS_MAX characters. */
  finds(text: string): boolean {
    const known = this.#answers.get(text)
    if (known !== undefined) return known
    const found = this.#program.test(text.slice(0, PATTERN_TEXT_CHARS_MAX))
    if (text.length <= 256) this.#remember(text, found)
    return found
  }

  #remember(text: string, found: boolean): void {
    if (this.#answers.size >= ANSWERS_MAX) this.#answers = new Map()
    this.#answers.set(text, found)
  }
}

function flagBits(flags: string): number {
  let bits = 0
  if (flags.includes('i')) bits |= RE2JS.CASE_INSENSITIVE
  if (flags.includes('m')) bits |= RE2JS.MULTILINE
  if (flags.includes('s')) bits |= RE2JS.DOTALL
  return bits
}
