/**
 * How fast Haetae is on this machine: `npm run bench -- [--count N] [--rounds N] [--records N] [--only NAME]… [--json]`. docs/performance.md explains
 * the table. Each case runs in a process of its own, and the rounds go through all cases in turn, so that what else
 * the machine does weighs on all of them alike.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { asError } from '../platform/errors.ts'
import { BASELINE, BASELINE_TWICE, type Case, cases, type Files } from './cases.ts'
import { benchInput, type Input } from './input.ts'
import { type Sample, together } from './measure.ts'
import { type MemoryResult, mapMemory, memoryText, pour } from './memory.ts'
import { hundredths, rowsOf, speedUp, table, withSpread } from './report.ts'
import { type RuleCost, ruleCosts, ruleCostsText } from './rule-cost.ts'
import { upMemory, upMemoryText } from './up-memory.ts'

const self = fileURLToPath(import.meta.url)
const MEMORY = 'memory'
const UP_MEMORY = 'memory of up'
const RULE_COST = 'what rules cost'
/** For each round of the other cases. */
const RULE_TURNS = 5
const MEMORY_RECORDS = '1000000'
/** A case that hangs is a failure of that case, not of the run. */
const CASE_MS_MAX = 600_000

type ChildMessage =
  | { readonly is: 'ready' }
  | { readonly is: 'sample'; readonly sample: Sample }
  | MemoryMessage
  | RuleMessage
type RuleMessage = { readonly is: 'rules'; readonly costs: readonly RuleCost[] }
type MemoryMessage = { readonly is: 'memory'; readonly result: MemoryResult }

/** The measured process. */
async function child(name: string, files: Files): Promise<void> {
  const tell = (message: ChildMessage): Promise<void> =>
    new Promise(resolve => process.send?.(message, () => resolve()))
  if (name === MEMORY) {
    await tell({ is: 'memory', result: await mapMemory(files.count) })
  } else if (name === RULE_COST) {
    await tell({ is: 'rules', costs: await ruleCosts(files.count) })
  } else {
    const measure = await caseOf(name).prepare(files)
    const go = new Promise(resolve => process.once('message', resolve))
    await tell({ is: 'ready' })
    await go
    await tell({ is: 'sample', sample: await measure() })
  }
  process.exit()
}

function caseOf(name: string): Case {
  const found = cases.find(each => each.name === name)
  if (!found) throw new Error(`there is no case "${name}": ${names().join(', ')}`)
  return found
}

function names(): string[] {
  return [...cases.map(({ name }) => name), RULE_COST, MEMORY, UP_MEMORY]
}

/**
 * What a measured process writes on standard output goes into this file. It is written over, not made anew: a virtual machine may ask
 * its host for every new page, which in the first round costs more than the write itself and says nothing about the program.
 */
function start(name: string, files: Files, stdin: 'ignore' | 'pipe', output: string): ChildProcess {
  const out = openSync(output, existsSync(output) ? 'r+' : 'w')
  const started = fork(self, ['--case', name, '--files', JSON.stringify(files)], {
    stdio: [stdin, out, 'inherit', 'ipc'],
    // Every process would say again how old the GeoIP databases are.
    env: { HAETAE_LOG_LEVEL: 'error', ...process.env },
  })
  closeSync(out)
  return started
}

async function expectMessage<Is extends ChildMessage['is']>(
  from: ChildProcess,
  is: Is,
): Promise<Extract<ChildMessage, { is: Is }>> {
  const message = await new Promise<ChildMessage>((resolve, reject) => {
    from.once('message', got => resolve(got as ChildMessage))
    from.once('exit', (code, signal) => {
      const why = signal
        ? `was ended by ${signal}, at the latest after ${CASE_MS_MAX / 1000} s`
        : `ended with code ${code}; its error is above`
      reject(new Error(`the measured process ${why}`))
    })
  })
  if (message.is !== is) throw new Error(`the measured process said "${message.is}" and not "${is}"`)
  return message as Extract<ChildMessage, { is: Is }>
}

async function measureOnce({ name, workers }: Case, input: Input, count: number): Promise<Sample> {
  const inputs = workers === 2 ? input.halves : [input.whole]
  const started = inputs.map((path, at) => {
    return start(name, { input: path, warmUp: input.warmUp, count }, 'ignore', `${input.output}-${at}`)
  })
  const tooLong = setTimeout(() => {
    for (const each of started) each.kill()
  }, CASE_MS_MAX)
  try {
    await Promise.all(started.map(each => expectMessage(each, 'ready')))
    const done = started.map(each => expectMessage(each, 'sample'))
    const startMs = performance.now()
    for (const each of started) each.send('go')
    const samples = (await Promise.all(done)).map(({ sample }) => sample)
    return samples.length === 1 ? samples[0]! : together(samples, (performance.now() - startMs) / 1000)
  } catch (thrown) {
    for (const each of started) each.kill()
    throw thrown
  } finally {
    clearTimeout(tooLong)
  }
}

/** `turns` of each, with and without. */
async function measureRules(input: Input, turns: number): Promise<readonly RuleCost[]> {
  const files = { input: input.whole, warmUp: input.warmUp, count: turns }
  const { costs } = await expectMessage(start(RULE_COST, files, 'ignore', `${input.output}-0`), 'rules')
  return costs
}

async function measureMemory(input: Input, count: number, records: number): Promise<MemoryResult> {
  const times = Math.ceil(records / count)
  const measuredProcess = start(MEMORY, { input: '-', warmUp: '', count: times * count }, 'pipe', '/dev/null')
  const result = expectMessage(measuredProcess, 'memory')
  // A process that ended early is reported by `result`.
  measuredProcess.stdin!.on('error', () => undefined)
  const [{ result: memory }] = await Promise.all([result, pour(input.whole, times, measuredProcess.stdin!)])
  return memory
}

interface Options {
  readonly count: number
  readonly rounds: number
  /** Of the two cases about memory. */
  readonly records: number
  readonly chosen: readonly Case[]
  readonly ruleCost: boolean
  readonly memory: boolean
  readonly upMemory: boolean
  readonly json: boolean
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '100000' },
      rounds: { type: 'string', default: '3' },
      records: { type: 'string', default: MEMORY_RECORDS },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  })
  const only = values.only.map(name => (names().includes(name) ? name : caseOf(name).name))
  const all = only.length === 0
  const measuredCases = cases.filter(({ name }) => all || only.includes(name))
  // Without the baseline of the same run the figures of a case say little.
  const withBaseline = measuredCases.length > 0 ? [caseOf(BASELINE), ...measuredCases] : []
  return {
    count: wholeNumber(values.count, 'count', 1_000),
    rounds: wholeNumber(values.rounds, 'rounds', 1),
    records: wholeNumber(values.records, 'records', 1_000),
    chosen: cases.filter(each => withBaseline.includes(each)),
    // Of the rules both figures, whoever asks for one.
    ruleCost: all || only.includes(RULE_COST) || only.includes('+ Sigma rules'),
    memory: all || only.includes(MEMORY),
    upMemory: all || only.includes(UP_MEMORY),
    json: values.json,
  }
}

function wholeNumber(text: string, name: string, least: number): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} is a whole number from ${least} on`)
  return value
}

async function main(): Promise<void> {
  const { count, rounds, records, chosen, ruleCost, memory, upMemory: ofUp, json } = readOptions()
  const input = benchInput(count)
  const results = new Map<string, (Sample | undefined)[]>(chosen.map(({ name }) => [name, []]))
  const failed = new Map<string, string>()
  for (let round = 1; round <= rounds; round++) {
    for (const each of chosen) {
      if (failed.has(each.name)) continue
      process.stderr.write(`round ${round} of ${rounds}: ${each.name}\n`)
      const sample = await measureOnce(each, input, count).catch((thrown: unknown) => {
        failed.set(each.name, asError(thrown).message)
        return undefined
      })
      results.get(each.name)!.push(sample)
    }
  }
  const rules = ruleCost
    ? await measureRules(input, rounds * RULE_TURNS).catch((thrown: unknown) => {
        failed.set(RULE_COST, asError(thrown).message)
        return undefined
      })
    : undefined
  const resident = memory
    ? await measureMemory(input, count, records).catch((thrown: unknown) => {
        failed.set(MEMORY, asError(thrown).message)
        return undefined
      })
    : undefined
  const residentUp = ofUp
    ? await upMemory(records).catch((thrown: unknown) => {
        failed.set(UP_MEMORY, asError(thrown).message)
        return undefined
      })
    : undefined
  const rows = rowsOf(results, BASELINE)
  const twoWorkers = speedUp(results, 'map, two workers', 'map to a file')
  const twoBaselines = speedUp(results, BASELINE_TWICE, BASELINE)
  if (json) {
    const failures = Object.fromEntries(failed)
    console.log(
      JSON.stringify(
        {
          count,
          rounds,
          baseline: BASELINE,
          rows,
          twoWorkers,
          twoBaselines,
          rules,
          memory: resident,
          residentUp,
          failures,
        },
        null,
        2,
      ),
    )
  } else {
    console.log(`${count.toLocaleString('en')} records, rounds: ${rounds}; median (least–most)`)
    if (rows.length > 0) console.log(table(rows, BASELINE))
    if (twoWorkers) console.log(`two workers of map: ${withSpread(twoWorkers, hundredths)} times as fast as one`)
    if (twoBaselines) console.log(`two of ${BASELINE}: ${withSpread(twoBaselines, hundredths)} times as fast as one`)
    if (rules) console.log(ruleCostsText(rules))
    if (resident) console.log(memoryText(resident))
    if (residentUp) console.log(upMemoryText(residentUp))
    for (const [name, why] of failed) console.log(`${name}: failed: ${why}`)
  }
  if (failed.size > 0) process.exitCode = 1
}

const [flag, name, , files] = process.argv.slice(2)
if (flag === '--case' && name && files) await child(name, JSON.parse(files) as Files)
else await main()
