/** A stretch of time at the shop's gate, as AWS WAF logs it. */
import { crawl, office, saleRush, uptime } from './crowds.ts'
import type { Episode, EpisodeName } from './episode.ts'
import { burst, coupons, stuffing } from './floods.ts'
import { probes, scanner, sqli, traversal, xss } from './injections.ts'
import { baited, carrier, hostilePage } from './innocents.ts'
import { Random } from './random.ts'
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
  /** Adds crowds that look like attackers and are none: a sale, an office or a carrier behind one address, visitors of a hostile page. */
  readonly crowds?: boolean
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

/** A record with what is known of it: of which attack or crowd it is, if of any, and whose. */
export interface Labelled {
  readonly record: string
  readonly ip: string
  readonly timeMs: number
  readonly of: EpisodeName | undefined
  /** An attacker sent it. */
  readonly hostile: boolean
  /** It is an attack, whoever sent it. */
  readonly attack: boolean
}

/** Records as JSON text without line feed. Same options, same text. */
export function* generateWaf(options: WafOptions): Generator<string> {
  for (const { record } of generateLabelledWaf(options)) yield record
}

/** The same, with the truth about each, for measuring what detections find. */
export function* generateLabelledWaf(options: WafOptions): Generator<Labelled> {
  const { seed, count, startMs, durationMs, people = 20_000, repeatsPerMillion = 0 } = options
  const random = new Random(seed)
  const visits = new Visits(seed, people)
  const episodes = episodesOf(options)
  const upTo = timetable(episodes)
  const again: Labelled[] = []
  for (let index = 0; index < count; index++) {
    const fraction = timeOf((index + random.fraction()) / count, upTo)
    const jitter = Math.min(JITTER_MS, durationMs / 20) * (random.fraction() * 2 - 1)
    const atMs = startMs + Math.min(durationMs - 1, Math.max(0, Math.round(fraction * durationMs + jitter)))
    const episode = episodeAt(fraction, episodes, random)
    const request = episode
      ? episode.make(random, (fraction - episode.from) / (episode.to - episode.from), atMs)
      : visits.next(random, atMs)
    const record = {
      record: recordJson(request, atMs, random),
      ip: request.client.ip,
      timeMs: atMs,
      of: episode?.name,
      hostile: episode?.hostile === true,
      attack: episode?.hostile === true || episode?.forced === true,
    }
    yield record
    if (repeatsPerMillion > 0) {
      if (again.length < REPEAT_POOL) again.push(record)
      else again[random.below(REPEAT_POOL)] = record
      if (random.fraction() * 1e6 < repeatsPerMillion) yield random.pick(again)
    }
  }
}

function episodesOf({ seed, people = 20_000, attackOdds = 1, crowds = false }: WafOptions): readonly Episode[] {
  const attacks = [scanner, sqli, xss, traversal, stuffing, burst, coupons, probes].map(begin => begin(seed))
  const likelier = attacks.map(each => ({
    ...each,
    share: (each.share * attackOdds) / (1 + each.share * (attackOdds - 1)),
  }))
  if (!crowds) return likelier
  const innocents = [office, crawl, uptime, hostilePage, baited, carrier].map(begin => begin(seed))
  return [...likelier, saleRush(seed, people), ...innocents]
}

/** Of which episode the next request is; undefined: of none, it is ordinary traffic. */
function episodeAt(fraction: number, episodes: readonly Episode[], random: Random): Episode | undefined {
  let draw = random.fraction()
  for (const episode of episodes) {
    if (fraction < episode.from || fraction >= episode.to) continue
    if (draw < episode.share) return episode
    draw -= episode.share
  }
  return undefined
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
