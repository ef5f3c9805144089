/**
 * JSON from strangers as plain objects: everything they can write stays data. For records of low volume; WAF records have a
 * reader of their own.
 */
import { isUtf8 } from 'node:buffer'
import type { Json, JsonObject } from '../ocsf/event.ts'

export interface JsonLimits {
  readonly bytesMax: number
  readonly depthMax: number
  readonly keysMax: number
}

type GuardReason = 'oversize' | 'invalid_utf8' | 'too_deep' | 'too_many_keys' | 'not_json'

/** `value` is any JSON value. `dangerous`: what stood under keys that are no data in JavaScript, as JSON text by its path. */
export type Guarded =
  | { readonly ok: true; readonly value: Json; readonly dangerous: JsonObject | undefined }
  | { readonly ok: false; readonly reason: GuardReason; readonly detail: string }

/** Assigning to these would change the object's prototype, or hide it, in code that copies objects. */
const PROTOTYPE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a

/**
 * Parses `raw`. Integers past 2^53 and numbers past a double's range stay exact, as strings of their digits; lone surrogates become
 * U+FFFD; keys of JavaScript's own (`__proto__` …) are taken out of the value.
 */
export function guardedJson(raw: Buffer, limits: JsonLimits): Guarded {
  if (raw.length > limits.bytesMax) return refused('oversize', `${raw.length} bytes`)
  if (!isUtf8(raw)) return refused('invalid_utf8', '')
  const tooMuch = exceeds(raw, limits)
  if (tooMuch)
    return refused(
      tooMuch,
      tooMuch === 'too_deep' ? `more than ${limits.depthMax} levels` : `more than ${limits.keysMax}`,
    )
  let parsed: unknown
  try {
    parsed = JSON.parse(raw.toString(), exactNumbers)
  } catch (error) {
    return refused('not_json', error instanceof SyntaxError ? positionOf(error) : '')
  }
  const dangerous: JsonObject = {}
  const value = cleaned(parsed as Json, '$', dangerous)
  return { ok: true, value, dangerous: Object.keys(dangerous).length > 0 ? dangerous : undefined }
}

function refused(reason: GuardReason, detail: string): Guarded {
  return { ok: false, reason, detail }
}

/** One pass over the bytes before anything is built. Counts are right for valid JSON; what is not, the parser refuses. */
function exceeds(raw: Buffer, limits: JsonLimits): 'too_deep' | 'too_many_keys' | undefined {
  let depth = 0
  let keys = 0
  let inString = false
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at]!
    if (inString) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) inString = false
      continue
    }
    if (byte === QUOTE) inString = true
    // [ and {, ] and } differ in one bit.
    else if ((byte | 0x20) === 0x7b && ++depth > limits.depthMax) return 'too_deep'
    else if ((byte | 0x20) === 0x7d) depth--
    else if (byte === COLON && ++keys > limits.keysMax) return 'too_many_keys'
  }
  return undefined
}

/** V8 quotes the text in its messages; the dead letter has the bytes, so only the place is kept. */
function positionOf(error: SyntaxError): string {
  return /at position \d+/.exec(error.message)?.[0] ?? ''
}

function exactNumbers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value
  const exact = Number.isFinite(value) && (Number.isSafeInteger(value) || !/^-?\d+$/.test(context.source))
  return exact ? value : context.source
}

function cleaned(value: Json, path: string, dangerous: JsonObject): Json {
  if (typeof value === 'string') return value.toWellFormed()
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((item, index) => cleaned(item, `${path}[${index}]`, dangerous))
  const object: JsonObject = {}
  for (const [key, item] of Object.entries(value)) {
    const name = key.toWellFormed()
    if (PROTOTYPE_KEYS.has(name)) dangerous[`${path}.${name}`] = JSON.stringify(item)
    else object[name] = cleaned(item, `${path}.${name}`, dangerous)
  }
  return object
}
