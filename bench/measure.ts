/** What one measured run cost, and what several of them say together. */
export interface Sample {
  readonly events: number
  /** Of the input. */
  readonly bytes: number
  readonly seconds: number
  /** User and system time of the measured processes alone. */
  readonly cpuSeconds: number
}

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export interface Amount {
  readonly events: number
  readonly bytes: number
}

/** The wall and CPU time of this process while `work` runs. */
export async function measured(work: () => Amount | Promise<Amount>): Promise<Sample> {
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const { events, bytes } = await work()
  const seconds = (performance.now() - startMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return { events, bytes, seconds, cpuSeconds: (user + system) / 1e6 }
}

/** Runs that went on side by side for `seconds` altogether, as one. */
export function together(samples: readonly Sample[], seconds: number): Sample {
  const sum = (of: (sample: Sample) => number): number => samples.reduce((total, sample) => total + of(sample), 0)
  return { events: sum(s => s.events), bytes: sum(s => s.bytes), seconds, cpuSeconds: sum(s => s.cpuSeconds) }
}

/** Throws for no values. The median of an even number lies halfway between the middle two. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  if (low === undefined || high === undefined) throw new Error('a spread needs at least one value')
  return { min: sorted[0]!, median: (low + high) / 2, max: sorted.at(-1)! }
}

export function cpuPerMillion({ cpuSeconds, events }: Sample): number {
  return (cpuSeconds / events) * 1e6
}
