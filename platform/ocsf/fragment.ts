/**
 * Parts of an event that many events share, such as the location of a GeoIP record: frozen, and rendered to JSON once
 * instead of once per event. To every reader a fragment is a plain object.
 */
const rendered = Symbol('rendered JSON')

interface Rendered {
  readonly [rendered]?: string
}

/** Freezes `value` deeply and keeps its JSON with it. Gives back the same object. */
export function fragment<T extends object>(value: T): T {
  if (renderFragment(value) !== undefined) return value
  const json = byteString(JSON.stringify(value))
  // Not enumerable: copies, comparisons and JSON.stringify do not see it, so a changed copy is never taken for the original.
  Object.defineProperty(value, rendered, { value: json })
  return deepFreeze(value)
}

/** The JSON of a fragment as a byte string (one character for each byte of the UTF-8); undefined for other objects. */
export function renderFragment(value: object): string | undefined {
  return (value as Rendered)[rendered]
}

function byteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !Object.isFrozen(inner)) deepFreeze(inner as object)
  }
  return Object.freeze(value)
}
