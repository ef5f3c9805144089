import { parseArgs } from 'node:util'
import { type DeadLetter, type Kind, kinds } from '../../engine/contract.ts'
import { run as runPlan } from '../../engine/pipeline.ts'
import type { NamedStage } from '../../engine/stages.ts'
import type { DeadLetterStore } from '../../engine/write.ts'
import { stages } from '../../enrichers/index.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { sinks } from '../../sinks/index.ts'
import { sources } from '../../sources/index.ts'
import type { Command } from '../cli.ts'
import { openByType } from '../compose.ts'
import { offlineDeps } from '../offline.ts'
import { readSettings } from '../settings.ts'

/** Parses, enriches and redacts the records of a file: what the pipelines would write, on stdout. */
export const map: Command = {
  name: 'map',
  usage: `${kinds.join('|')} FILE|- [--strict]`,
  summary: 'normalise and enrich records; rejected ones as {"line","reason"} on stderr (--strict: exit 1 on any)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { strict: { type: 'boolean', default: false } },
    })
    const [kind, file, extra] = positionals
    if (!isKind(kind)) throw new HaetaeError('USAGE', `the first argument is one of ${kinds.join(', ')}`)
    if (file === undefined) throw new HaetaeError('USAGE', 'name a file, or - for standard input')
    if (extra !== undefined) throw new HaetaeError('USAGE', `one file at a time: "${extra}" is one too many`)
    const rejected = await mapFile(kind, file)
    return values.strict && rejected > 0 ? 1 : 0
  },
}

/** How many records were rejected. */
async function mapFile(kind: Kind, path: string): Promise<number> {
  const refused = new RejectedLines()
  const deps = {
    ...offlineDeps('map', readSettings()),
    deadLetter: (letters: readonly DeadLetter[]) => refused.write(letters),
  }
  const opened: NamedStage[] = []
  for (const name of [`parse-${kind}`, 'geoip', 'redact'])
    opened.push({ name, stage: await openByType(stages, name, {}, deps) })
  const sink = await openByType(sinks, 'stdout', {}, deps)
  const source = await openByType(sources, 'file', { path, kind }, deps)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  await runPlan(
    {
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
    },
    deps,
    stop.signal,
  )
  return refused.count
}

/** The dead letter of a command: `{"line":…,"reason":…}` lines on stderr, without the record. */
class RejectedLines implements DeadLetterStore {
  count = 0

  write(letters: readonly DeadLetter[]): Promise<void> {
    this.count += letters.length
    const lines = letters.map(({ origin, reason }) =>
      JSON.stringify({ line: origin ? Number(origin.position) : null, reason }),
    )
    return new Promise((resolve, reject) => {
      process.stderr.write(`${lines.join('\n')}\n`, error => (error ? reject(error) : resolve()))
    })
  }
}

function isKind(text: string | undefined): text is Kind {
  return kinds.some(kind => kind === text)
}
