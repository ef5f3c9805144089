import { cpSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { recordId } from '../../engine/event.ts'

const FIXTURES = fileURLToPath(new URL('../fixtures/upgrade/', import.meta.url))

/** What an earlier version left behind (test/upgrade/make.ts), copied so that a test may go on with it. */
export interface Earlier {
  /** Version and commit. */
  readonly name: string
  readonly folder: string
  readonly stateFolder: string
  readonly lakeFolder: string
  /** WAF records as they were sent: of the first `stored` the lake has the events, the rest was taken and not written. */
  readonly records: readonly Buffer[]
  readonly ids: readonly string[]
  readonly stored: number
  /** Sent, too, and rejected. */
  readonly bad: readonly Buffer[]
}

const STORED = 40
const BAD = 3

export const earlierVersions = readdirSync(FIXTURES)

export function copyOf(name: string): Earlier {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-upgrade-'))
  cpSync(join(FIXTURES, name), folder, { recursive: true })
  const lines = readFileSync(join(folder, 'records.ndjson'), 'utf8').trimEnd().split('\n')
  const all = lines.map(line => Buffer.from(line))
  const records = all.slice(0, -BAD)
  return {
    name,
    folder,
    stateFolder: join(folder, 'state'),
    lakeFolder: join(folder, 'state', 'lake'),
    records,
    ids: records.map(recordId),
    stored: STORED,
    bad: all.slice(-BAD),
  }
}
