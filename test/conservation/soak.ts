/**
 * Rounds of the conservation test, one after another: `npm run soak`. ROUNDS (20 for each client), SEED (of the first
 * round; each next one is one more), CLIENT (kafkajs, platformatic; both when left out), FAULTS (of a round). A line for each round; the
 * exit code is 1 when one of them broke a promise. SEED=… ROUNDS=1 CLIENT=… repeats one.
 */
import type { Client } from '../real/servers/kafka-topics.ts'
import { told } from './faults.ts'
import { complaintsOf, type RoundResult, runRound } from './round.ts'
import { Servers } from './system.ts'

const WINDOW_MS = 20_000
const rounds = Number(process.env['ROUNDS'] || 20)
const firstSeed = Number(process.env['SEED'] || 1)
const faults = Number(process.env['FAULTS'] || 6)
const client = process.env['CLIENT']
const clients: readonly Client[] =
  client === 'kafkajs' || client === 'platformatic' ? [client] : ['kafkajs', 'platformatic']

const columns = [
  'client',
  'seed',
  'http',
  'kafka',
  'letters',
  'repeats',
  'raw',
  'missing',
  'spurious',
  'corrupted',
] as const
const more = ['doubled', 'restarts', 'own ends', 'settled s'] as const

function line(cells: readonly unknown[]): string {
  return cells.map(cell => String(cell).padStart(12)).join(' ')
}

function row(of: Client, seed: number, result: RoundResult): string {
  const { acknowledgedByHttp, acknowledgedByKafka, letters, repeatsOnTheWire, rawRepeats } = result
  const { missing, spurious, corrupted, doubled, restarts, ownEnds, settledSeconds } = result
  const came = [of, seed, acknowledgedByHttp, acknowledgedByKafka, letters, repeatsOnTheWire, rawRepeats]
  const broken = [missing, spurious, corrupted, doubled]
  return line([...came, ...broken, restarts, ownEnds.length, settledSeconds?.toFixed(1) ?? 'never'])
}

/** Tells what came of a round. False when it broke a promise or could not be run to its end. */
async function passes(of: Client, seed: number): Promise<boolean> {
  try {
    const result = await runRound(servers, { name: `${of}-${seed}`, seed, client: of, faults, windowMs: WINDOW_MS })
    const complaints = complaintsOf(result)
    console.log(row(of, seed, result))
    console.log(`            ${result.plan.map(told).join('; ')}`)
    for (const end of result.ownEnds) console.log(`            ended by itself: ${end}`)
    for (const complaint of complaints) console.log(`            BROKEN ${complaint}`)
    return complaints.length === 0
  } catch (error) {
    console.log(line([of, seed]), 'could not be run to its end:', error)
    return false
  }
}

// What was started is ended when the process exits.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

let failed = 0
let servers = await Servers.start()
console.log(line([...columns, ...more]))
for (let round = 0; round < rounds; round++) {
  for (const each of clients) {
    const seed = firstSeed + round
    if (await passes(each, seed)) continue
    failed++
    // What it left would befall the next one.
    await servers.stop()
    servers = await Servers.start()
  }
}
await servers.stop()
console.log(`${rounds * clients.length} rounds, ${failed} with a broken promise`)
process.exitCode = failed === 0 ? 0 : 1
