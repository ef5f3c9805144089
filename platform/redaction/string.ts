import type { SecretNames } from './names.ts'

export const REDACTED = '[redacted]'

/** What every string with a secret has somewhere; most strings have none of it. */
const hint = /=|%(?:25)*3d|eyJ|A[KS]IA|bearer|basic/i

/**
 * A decoded string with its secrets replaced: values of parameters with a secret's name (also when the name is
 * percent-encoded, or the whole parameter is part of another one), JSON Web Tokens, bearer tokens, user and password of Basic
 * authentication, AWS access key ids. Time is linear in the length.
 */
export function redactString(text: string, names: SecretNames): string {
  if (!hint.test(text)) return text
  return redactKeyIds(redactBasic(redactBearers(redactWebTokens(redactParameters(text, names)))))
}

const separators = /=|%(?:25)*3d/gi

function redactParameters(text: string, names: SecretNames): string {
  let result = ''
  let copied = 0
  let nameFrom = 0
  for (const { 0: separator, index } of text.matchAll(separators)) {
    if (index < copied) continue
    const from = index + separator.length
    const name = nameBefore(text, index, nameFrom)
    nameFrom = from
    if (name === '' || !names.isParameter(name)) continue
    const to = endOfValue(text, from, separator)
    if (to === from) continue
    result += text.slice(copied, from) + REDACTED
    copied = to
  }
  return result + text.slice(copied)
}

const nameChar = /[\w.%[\]-]/
const lastPart = /[\w-]+(?=\]*$)/

/** `password` of `a=1&user[password]`, of `%70assword`, of `https%3A%2F%2Fhost%2F%3Fpassword`. */
function nameBefore(text: string, at: number, earliest: number): string {
  let from = at
  while (from > earliest && nameChar.test(text[from - 1]!)) from--
  const name = percentDecoded(text.slice(from, at)).trimEnd()
  // The end alone matters, and a name is short: no search through a long text.
  return lastPart.exec(name.slice(-80))?.[0] ?? ''
}

const DECODINGS_MAX = 3

function percentDecoded(text: string): string {
  let decoded = text
  for (let round = 0; round < DECODINGS_MAX && decoded.includes('%'); round++) {
    decoded = decoded.replace(/%([0-9a-f]{2})/gi, (_match, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
  }
  return decoded
}

/** A parameter inside an encoded one ends where the `&` is encoded as often as its `=`; anything else belongs to the value. */
function endOfValue(text: string, from: number, separator: string): number {
  const stop = separator === '=' ? /[&\s]/g : new RegExp(`[&\\s]|${separator.slice(0, -2)}26`, 'g')
  stop.lastIndex = from
  return stop.exec(text)?.index ?? text.length
}

const tokenChar = /[\w-]*/y

/** RFC 7519: three parts or more of base64url, the first of which begins with `{"`. A loop, as a pattern would go back and forth. */
function redactWebTokens(text: string): string {
  let result = ''
  let copied = 0
  for (let at = text.indexOf('eyJ'); at >= 0; ) {
    let end = endOfPart(text, at)
    let parts = 1
    while (text[end] === '.' && parts < 5) {
      end = endOfPart(text, end + 1)
      parts++
    }
    if (parts >= 3) {
      result += text.slice(copied, at) + REDACTED
      copied = end
    }
    at = text.indexOf('eyJ', end)
  }
  return copied === 0 ? text : result + text.slice(copied)
}

function endOfPart(text: string, from: number): number {
  tokenChar.lastIndex = from
  tokenChar.exec(text)
  return tokenChar.lastIndex
}

function redactBearers(text: string): string {
  return text.replace(/(bearer(?:\s|\+|%20)+)[^\s"'&,;<>]{6,}/gi, `$1${REDACTED}`)
}

/** RFC 7617: the base64 of `user:password`. Where a value begins anything is taken for it; elsewhere it must decode to a pair. */
function redactBasic(text: string): string {
  return text.replace(
    /(basic(?:\s|\+|%20)+)([^\s"'&,;<>]{6,})/gi,
    (match, scheme: string, token: string, at: number) =>
      isValueStart(text, at) || isPair(token) ? scheme + REDACTED : match,
  )
}

/** Behind nothing but white space, or behind what a value follows: `Authorization: Basic …`, `h="Basic …"`. */
function isValueStart(text: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && /\s/.test(text[before]!)) before--
  return before < 0 || /[:="']/.test(text[before]!)
}

/** Some of it may be cut off, and `=` encoded. */
function isPair(token: string): boolean {
  return Buffer.from(token, 'base64').includes(0x3a)
}

function redactKeyIds(text: string): string {
  return text.replace(/A[KS]IA[A-Z0-9]{16,}/g, REDACTED)
}
