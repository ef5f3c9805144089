/** Clock times as people of one time zone read them, and the hours in which they sleep. */
export interface LocalTime {
  /** 14:03 KST, or 11-24 14:03 KST when it is of another day than `nowMs`. */
  minute(timeMs: number, nowMs: number): string
  /** 14:03:05 */
  second(timeMs: number): string
  /** The quiet hours that `timeMs` lies in, or undefined. */
  quiet(timeMs: number): { readonly sinceMs: number; readonly endMs: number } | undefined
}

const MINUTE_MS = 60_000
const REMEMBERED_MAX = 2_000
const DAY_MINUTES = 24 * 60

/** `quietHours`: `22:00-08:00`, empty for none. `timeZone`: a name that Intl knows. */
export function localTime(timeZone: string, quietHours: string): LocalTime {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  })
  const parts = (timeMs: number): Readonly<Record<string, string>> =>
    Object.fromEntries(format.formatToParts(timeMs).map(({ type, value }) => [type, value]))
  // ICU knows no abbreviation for Seoul; everyone there does.
  const zone = timeZone === 'Asia/Seoul' ? 'KST' : undefined
  const [from, to] = minutesOf(quietHours)
  return {
    minute(timeMs, nowMs) {
      const { month, day, hour, minute, timeZoneName } = parts(timeMs)
      const now = parts(nowMs)
      const date = now['month'] === month && now['day'] === day ? '' : `${month}-${day} `
      return `${date}${hour}:${minute} ${zone ?? timeZoneName}`
    },
    second(timeMs) {
      const { hour, minute, second } = parts(timeMs)
      return `${hour}:${minute}:${second}`
    },
    quiet: remembered(timeMs => {
      if (from === undefined || to === undefined || from === to) return undefined
      const { hour, minute } = parts(timeMs)
      const at = Number(hour) * 60 + Number(minute)
      const past = (at - from + DAY_MINUTES) % DAY_MINUTES
      const length = (to - from + DAY_MINUTES) % DAY_MINUTES
      if (past >= length) return undefined
      const sinceMs = Math.floor(timeMs / MINUTE_MS) * MINUTE_MS - past * MINUTE_MS
      return { sinceMs, endMs: sinceMs + length * MINUTE_MS }
    }),
  }
}

/** By the minute: the same times are asked for again and again, and Intl is slow. */
function remembered(quiet: LocalTime['quiet']): LocalTime['quiet'] {
  const known = new Map<number, ReturnType<LocalTime['quiet']>>()
  return timeMs => {
    const minute = Math.floor(timeMs / MINUTE_MS)
    if (!known.has(minute)) {
      if (known.size === REMEMBERED_MAX) known.clear()
      known.set(minute, quiet(timeMs))
    }
    return known.get(minute)
  }
}

function minutesOf(quietHours: string): [number | undefined, number | undefined] {
  const found = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(quietHours)
  if (!found) return [undefined, undefined]
  const [, fromHour, fromMinute, toHour, toMinute] = found.map(Number)
  return [fromHour! * 60 + fromMinute!, toHour! * 60 + toMinute!]
}
