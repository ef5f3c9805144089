const FORMAT = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)? ?([Zz]|[+-]\d\d:?\d\d)?$/

/**
 * RFC 3339 as written and as bent: a space for the T, an offset without colon, no offset (then UTC), up to nanoseconds (cut to
 * milliseconds). Milliseconds since the epoch; undefined for anything else, and for days and hours that do not exist.
 */
export function parseTimeMs(text: string): number | undefined {
  const found = text.length <= 40 ? FORMAT.exec(text) : null
  if (!found) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', offset = 'Z'] = found
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'))
  const utc = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second), ms)
  // Date.UTC carries 31 February over into March; such a time was never meant. A leap second does carry over.
  const written = new Date(utc - (second === '60' ? 1000 : 0))
  const isReal = written.toISOString().startsWith(`${year}-${month}-${day}T${hour}:${minute}:`) && Number(second) <= 60
  return isReal ? utc - offsetMs(offset) : undefined
}

function offsetMs(offset: string): number {
  if (offset === 'Z' || offset === 'z') return 0
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(-2))
  return (offset[0] === '-' ? -minutes : minutes) * 60_000
}
