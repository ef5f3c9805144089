import { hostileInput } from './input.ts'
import { cpuPerMillion, measured, type Sample, type Spread, spread } from './measure.ts'
import { BenchPipeline } from './pipelines.ts'
import { withSpread } from './report.ts'

/** The same pipeline with and without the rules, over one input, in turns. */
export interface RuleCost {
  /** Of 100 requests, how many are part of an attack. */
  readonly hostilePercent: number
  /** CPU time in µs a record. */
  readonly withoutRules: Spread
  readonly withRules: Spread
  /** Records a second of CPU time in the best turn. */
  readonly perSecondWithout: number
  readonly perSecondWith: number
  /** Of the throughput without rules, what rules take: by the best turns, and by the medians. */
  readonly share: number
  readonly shareByMedian: number
}

/** Few enough that most turns are over before the machine does something else. */
const RECORDS = 8_000
const WARM_UP_TURNS = 3
/** Of the generator's attacks: as it makes them, so that all rules are busy, and a tenth of them, which is still a bad day for a shop. */
const ATTACK_ODDS = [1, 0.1] as const

/**
 * What all rules and correlations cost a pipeline that reads a file, parses, looks addresses up and encodes. One process takes turns
 * between the two, so that both have the same code, memory and neighbours.
 */
export async function ruleCosts(turns: number): Promise<RuleCost[]> {
  const stages = ['parse-waf', 'geoip']
  const without = await BenchPipeline.open(stages)
  const all = await BenchPipeline.open(stages, ['sigma'])
  const costs: RuleCost[] = []
  for (const odds of ATTACK_ODDS) {
    const { path, hostilePercent } = hostileInput(RECORDS, odds)
    const samples: { readonly without: Sample; readonly with: Sample }[] = []
    for (let turn = 0; turn < WARM_UP_TURNS + turns; turn++) {
      samples.push({
        without: await measured(() => without.file(path, 'drop', {})),
        with: await measured(() => all.file(path, 'drop', {})),
      })
    }
    const counted = samples.slice(WARM_UP_TURNS)
    const withoutRules = spread(counted.map(each => cpuPerMillion(each.without)))
    const withRules = spread(counted.map(each => cpuPerMillion(each.with)))
    costs.push({
      hostilePercent,
      withoutRules,
      withRules,
      perSecondWithout: 1e6 / withoutRules.min,
      perSecondWith: 1e6 / withRules.min,
      share: 1 - withoutRules.min / withRules.min,
      shareByMedian: 1 - withoutRules.median / withRules.median,
    })
  }
  return costs
}

export function ruleCostsText(costs: readonly RuleCost[]): string {
  return costs.map(costText).join('\n')
}

function costText(cost: RuleCost): string {
  const rate = (perSecond: number): string => Math.round(perSecond).toLocaleString('en')
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`
  const time = (of: Spread): string => withSpread(of, value => value.toFixed(1))
  return (
    `what rules cost, ${cost.hostilePercent.toFixed(1)} of 100 requests hostile: ` +
    `${rate(cost.perSecondWithout)} events a CPU second without rules, ${rate(cost.perSecondWith)} with all of them (best turns); ` +
    `${time(cost.withoutRules)} and ${time(cost.withRules)} µs a record; ` +
    `they take ${percent(cost.share)} by the best turns, ${percent(cost.shareByMedian)} by the medians`
  )
}
