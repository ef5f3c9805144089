import { HaetaeError } from './errors.ts'

const MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `30m`, `4h` or `7d` in milliseconds. Throws USAGE; `what` is its name, as `--ttl`. */
export function parseDuration(text: string, what: string): number {
  const [, digits, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? []
  const ms = digits && unit ? Number(digits) * MS[unit]! : 0
  if (ms > 0) return ms
  throw new HaetaeError('USAGE', `${what} ${text}: a whole number with s, m, h or d, such as 30m, 4h or 7d`)
}

/** In the two largest units that say something: `3d 4h`, `12m 5s`, `0s`. */
export function formatDuration(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1_000))
  const parts: string[] = []
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / seconds)
    rest -= count * seconds
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join(' ') || '0s'
}
