/** A stretch of time at the shop's gate, as AWS WAF logs it. */
import type { Episode } from './episode.ts'
import { burst, coupons, stuffing } from './floods.ts'
import { probes, scanner, sqli, traversal, xss } from './injections.ts'
import { Random } from './random.ts'
import type { Request } from './record.ts'
import { recordJson } from './record.ts'
import { Visits } from './visits.ts'

export interface WafOptions {
  readonly seed: number
  /** Records to make; repeats come on top. */
  readonly count: number
  /** The first moment and the length of the stretch; traffic swells and ebbs over it as over one day. */
  readonly startMs: number
  readonly durationMs: number
  /** How many different people visit. */
  readonly people?: number
  /** Multiplies the odds that a request is part of an attack, for short samples that should still show every one. */
  readonly attackOdds?: number
  /** Records that are delivered once more, byte for byte, some time later. */
  readonly repeatsPerMillion?: number
}

/** Requests by hour in Korea: quiet before dawn, busy at lunch and in the evening. */
const HOURS = [5, 3, 2, 1.5, 1.2, 1.5, 2.5, 4, 5.5, 6, 6.5, 7, 7.5, 7, 6.5, 6.5, 6.5, 7, 7.5, 8.5, 10, 11, 10, 7.5]
/** Delivery order is not time order: a record is logged up to this much before or after its neighbours. */
const JITTER_MS = 4000
const REPEAT_POOL = 256
/** Half minutes of a day. */
const SLOTS = 2880

/** Records as JSON text without line feed. Same options, same text. */
export function* generateWaf(options: WafOptions): Generator<string> {
  const { seed, count, startMs, durationMs, people = 20_000, attackOdds = 1, repeatsPerMillion = 0 } = options
  const random = new Random(seed)
  const visits = new Visits(seed, people)
  const episodes = [scanner, sqli, xss, traversal, stuffing, burst, coupons, probes]
    .map(begin => begin(seed))
    .map(each => ({ ...each, share: (each.share * attackOdds) / (1 + each.share * (attackOdds - 1)) }))
  const upTo = timetable(episodes)
  const again: string[] = []
  for (let index = 0; index < count; index++) {
    const fraction = timeOf((index + random.fraction()) / count, upTo)
    const jitter = Math.min(JITTER_MS, durationMs / 20) * (random.fraction() * 2 - 1)
    const atMs = startMs + Math.min(durationMs - 1, Math.max(0, Math.round(fraction * durationMs + jitter)))
    const record = recordJson(requestAt(fraction, atMs, visits, episodes, random), atMs, random)
    yield record
    if (repeatsPerMillion > 0) {
      if (again.length < REPEAT_POOL) again.push(record)
      else again[random.below(REPEAT_POOL)] = record
      if (random.fraction() * 1e6 < repeatsPerMillion) yield random.pick(again)
    }
  }
}

function requestAt(
  fraction: number,
  atMs: number,
  visits: Visits,
  episodes: readonly Episode[],
  random: Random,
): Request {
  let draw = random.fraction()
  for (const episode of episodes) {
    if (fraction < episode.from || fraction >= episode.to) continue
    if (draw < episode.share) return episode.make(random, (fraction - episode.from) / (episode.to - episode.from), atMs)
    draw -= episode.share
  }
  return visits.next(random, atMs)
}

/** Requests up to each slot of the stretch: the hour's, and what the attacks add to it. */
function timetable(episodes: readonly Episode[]): Float64Array {
  const upTo = new Float64Array(SLOTS + 1)
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = (slot + 0.5) / SLOTS
    const share = episodes.reduce((sum, each) => (at >= each.from && at < each.to ? sum + each.share : sum), 0)
    upTo[slot + 1] = upTo[slot]! + HOURS[Math.floor(at * HOURS.length)]! / (1 - share)
  }
  return upTo
}

/** From the share of the requests made so far to the share of the time gone by. */
function timeOf(share: number, upTo: Float64Array): number {
  const target = share * upTo[SLOTS]!
  let low = 0
  let high = SLOTS - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (upTo[middle]! <= target) low = middle
    else high = middle - 1
  }
  return (low + (target - upTo[low]!) / (upTo[low + 1]! - upTo[low]!)) / SLOTS
}
