import { TERM_LENGTH_MAX } from '../../platform/ocsf/index-template.ts'

const KEY_LENGTH_MAX = 256
/** Of `path=value`, which flat_object indexes as one term of at most 32,766 bytes; a UTF-16 unit takes up to 3. */
const TERM_UNITS_MAX = 32_766 / 3

/**
 * The document with every string in `unmapped` cut to what flat_object can index. One longer string there makes OpenSearch
 * refuse the whole document, and the type has no `ignore_above`: without this an attacker could keep a request of his
 * out of the index by making it long. What is cut is marked; the whole record is in the lake. undefined: nothing could be cut.
 */
export function shortened(json: Buffer): Buffer | undefined {
  try {
    const document: unknown = JSON.parse(json.toString())
    if (typeof document !== 'object' || document === null || !('unmapped' in document)) return undefined
    const cut = { count: 0 }
    const unmapped = shorter(document.unmapped, 'unmapped'.length, cut)
    return cut.count > 0 ? Buffer.from(JSON.stringify({ ...document, unmapped })) : undefined
  } catch {
    return undefined // Nested too deep to be walked: as it is, the index does not take it.
  }
}

function shorter(value: unknown, pathLength: number, cut: { count: number }): unknown {
  if (typeof value === 'string') return cutTo(value, Math.min(TERM_LENGTH_MAX, TERM_UNITS_MAX - pathLength), cut)
  if (Array.isArray(value)) return value.map(item => shorter(item, pathLength, cut))
  if (typeof value !== 'object' || value === null) return value
  // Entries, not assignment: a key named __proto__ stays a key.
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const name = cutTo(key, KEY_LENGTH_MAX, cut)
      return [name, shorter(item, pathLength + 1 + name.length, cut)]
    }),
  )
}

function cutTo(text: string, lengthMax: number, cut: { count: number }): string {
  if (text.length <= lengthMax) return text
  cut.count++
  const mark = `…[cut, ${text.length} characters]`
  return `${text.slice(0, Math.max(0, Math.floor(lengthMax) - mark.length)).toWellFormed()}${mark}`
}
