import { parseArgs } from 'node:util'
import { type DeadLetter, type LogKind, logKinds } from '../../engine/contract.ts'
import { run as runPlan } from '../../engine/pipeline.ts'
import type { NamedStage } from '../../engine/stages.ts'
import type { DeadLetterStore } from '../../engine/write.ts'
import { stages } from '../../enrichers/index.ts'
import { HaetaeError, hasCode } from '../../platform/errors.ts'
import { sinks } from '../../sinks/index.ts'
import { sources } from '../../sources/index.ts'
import type { Command } from '../command.ts'
import { openByType } from '../compose.ts'
import { offlineDeps } from '../offline.ts'
import { readSettings } from '../settings.ts'

/** Parses, enriches and redacts the records of a file: what the pipelines would write, on stdout. */
export const map: Command = {
  name: 'map',
  usage: `${logKinds.join('|')} FILE|- [--strict]`,
  summary: 'normalise and enrich records; rejected ones as {"line","reason"} on stderr (--strict: exit 1 on any)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { strict: { type: 'boolean', default: false } },
    })
    const [kind, file, extra] = positionals
    if (!isKind(kind)) throw new HaetaeError('USAGE', `the first argument is one of ${logKinds.join(', ')}`)
    if (file === undefined) throw new HaetaeError('USAGE', 'name a file, or - for standard input')
    if (extra !== undefined) throw new HaetaeError('USAGE', `one file at a time: "${extra}" is one too many`)
    const rejected = await mapFile(kind, file)
    return values.strict && rejected > 0 ? 1 : 0
  },
}

/** How many records were rejected. */
async function mapFile(kind: LogKind, path: string): Promise<number> {
  const stop = new AbortController()
  const refused = new RejectedLines(() => stop.abort())
  const deps = {
    ...offlineDeps('map', readSettings()),
    deadLetter: (letters: readonly DeadLetter[]) => refused.write(letters),
  }
  const opened: NamedStage[] = []
  for (const name of [`parse-${kind}`, 'geoip', 'redact'])
    opened.push({ name, stage: await openByType(stages, name, {}, deps) })
  const sink = await openByType(sinks, 'stdout', {}, deps)
  const source = await openByType(sources, 'file', { path, kind }, deps)
  process.once('SIGINT', () => stop.abort())
  const plan = {
    name: 'map',
    source,
    stages: opened,
    detectors: [],
    sinks: [{ name: 'stdout', sink }],
    alertSinks: [],
    deadLetter: refused,
    deliveriesMax: 4,
    residentBytesMax: 16 * 1024 * 1024,
    drainMs: 5_000,
  }
  try {
    await runPlan(plan, deps, stop.signal)
  } catch (thrown) {
    // `haetae map … | head` has what it wants: as with any filter, the end of the reader is the end of the work.
    if (!hasCode(thrown, 'OUTPUT_CLOSED')) throw thrown
  }
  return refused.count
}

/** The dead letter of a command: `{"line":…,"reason":…}` lines on stderr, without the record. */
class RejectedLines implements DeadLetterStore {
  readonly #gone: () => void
  count = 0

  /** `gone` is called when the reader of stderr went away. */
  constructor(gone: () => void) {
    this.#gone = gone
    // Without a listener the error of a write would also be thrown at the process.
    process.stderr.on('error', gone)
  }

  write(letters: readonly DeadLetter[]): Promise<void> {
    this.count += letters.length
    const lines = letters.map(({ origin, reason }) =>
      JSON.stringify({ line: origin ? Number(origin.position) : null, reason }),
    )
    return new Promise((resolve, reject) => {
      process.stderr.write(`${lines.join('\n')}\n`, error => {
        if (!error) return resolve()
        if (!('code' in error) || error.code !== 'EPIPE') return reject(error)
        this.#gone()
        resolve()
      })
    })
  }
}

function isKind(text: string | undefined): text is LogKind {
  return logKinds.some(kind => kind === text)
}
