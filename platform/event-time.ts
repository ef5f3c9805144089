const DAY_MS = 86_400_000

/**
 * The earliest time an event can have, 2017-01-01: AWS WAF had no logs and GuardDuty did not exist before, and Falco was in its first
 * year. What lies before it is no time in milliseconds: a zero, or seconds, which would land in 1970.
 */
export const EVENT_MS_MIN = Date.UTC(2017, 0, 1)

/**
 * Why an event cannot have happened at this time, or undefined. Both bounds keep one wrong clock or unit from opening partitions and
 * indices of days that nobody looks at, and from standing at one end of every list.
 */
export function eventTimeFault(timeMs: number, nowMs: number): string | undefined {
  if (!Number.isInteger(timeMs)) return 'time_out_of_range: not in whole milliseconds'
  if (timeMs < EVENT_MS_MIN) return 'time_out_of_range: before 2017, or not in milliseconds'
  if (timeMs > nowMs + DAY_MS) return 'time_out_of_range: more than a day ahead'
  return undefined
}
