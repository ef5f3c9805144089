import { cpuPerMillion, type Sample, type Spread, spread } from './measure.ts'

/** One case over all rounds. */
export interface Row {
  readonly name: string
  readonly rounds: number
  readonly eventsPerSecond: Spread
  readonly megabytesPerSecond: Spread
  readonly cpuSecondsPerMillion: Spread
  /** CPU per event against the baseline's in the same round: what else the machine does then weighs on both. */
  readonly timesBaseline: Spread | undefined
}

/** What a case gave in each round; undefined where it failed. */
export type Results = ReadonlyMap<string, readonly (Sample | undefined)[]>

/** A row for every case that was measured at least once, in the order of `results`. */
export function rowsOf(results: Results, baseline: string): Row[] {
  const base = results.get(baseline) ?? []
  return [...results].flatMap(([name, rounds]) => {
    const samples = rounds.filter(sample => sample !== undefined)
    if (samples.length === 0) return []
    const times = rounds.flatMap((sample, round) => {
      const against = base[round]
      return sample && against ? [cpuPerMillion(sample) / cpuPerMillion(against)] : []
    })
    return [
      {
        name,
        rounds: samples.length,
        eventsPerSecond: spread(samples.map(({ events, seconds }) => events / seconds)),
        megabytesPerSecond: spread(samples.map(({ bytes, seconds }) => bytes / seconds / 1e6)),
        cpuSecondsPerMillion: spread(samples.map(cpuPerMillion)),
        timesBaseline: times.length > 0 ? spread(times) : undefined,
      },
    ]
  })
}

/** How many times as fast, in events a second of the wall clock, `name` was as `than`, round by round. */
export function speedUp(results: Results, name: string, than: string): Spread | undefined {
  const others = results.get(than) ?? []
  const times = (results.get(name) ?? []).flatMap((sample, round) => {
    const other = others[round]
    return sample && other ? [sample.events / sample.seconds / (other.events / other.seconds)] : []
  })
  return times.length > 0 ? spread(times) : undefined
}

/** Plain text: medians, and the least and the most in brackets. */
export function table(rows: readonly Row[], baseline: string): string {
  const head = ['', 'events/s', 'MB/s', 'CPU s per million', `times ${baseline}`]
  const lines = rows.map(row => [
    row.name,
    withSpread(row.eventsPerSecond, whole),
    whole(row.megabytesPerSecond.median),
    withSpread(row.cpuSecondsPerMillion, tenths),
    row.timesBaseline ? withSpread(row.timesBaseline, hundredths) : '',
  ])
  const all = [head, ...lines]
  const widths = head.map((_, column) => Math.max(...all.map(line => line[column]!.length)))
  const padded = all.map(line =>
    line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))),
  )
  return padded.map(line => line.join('  ').trimEnd()).join('\n')
}

export function withSpread({ min, median, max }: Spread, text: (value: number) => string): string {
  return `${text(median)} (${text(min)}–${text(max)})`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function tenths(value: number): string {
  return value.toFixed(1)
}

export function hundredths(value: number): string {
  return value.toFixed(2)
}
