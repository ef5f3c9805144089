/**
 * A wrong clock for a process that is started with `--import` of this file: Date is shifted by the milliseconds that
 * HAETAE_TEST_CLOCK_FILE holds, read at the start and again at each SIGUSR2. Durations (performance.now, timers) are not
 * touched: a monotonic clock does not jump.
 */
import { readFileSync } from 'node:fs'

const file = process.env['HAETAE_TEST_CLOCK_FILE'] ?? ''
const RealDate = Date
const realNow = Date.now
let shiftMs = readShift()

function readShift(): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return 0
  }
}

process.on('SIGUSR2', () => {
  shiftMs = readShift()
})

const shiftedNow = (): number => realNow() + shiftMs
RealDate.now = shiftedNow
// A proxy, so that dates which other code made are instances of it, too.
globalThis.Date = new Proxy(RealDate, {
  construct: (target, given, newTarget): object =>
    Reflect.construct(target, given.length === 0 ? [shiftedNow()] : given, newTarget),
  apply: () => new RealDate(shiftedNow()).toString(),
})
