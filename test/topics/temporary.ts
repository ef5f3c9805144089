import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { type EmbeddedOptions, type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'haetae-topics-'))
}

export function embeddedOptions(overrides: Partial<EmbeddedOptions> = {}): EmbeddedOptions {
  return {
    folder: temporaryFolder(),
    bytesMax: 64 * 1024 ** 2,
    // Tests ask for upkeep themselves.
    upkeepMs: 1e9,
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics(),
    ...overrides,
  }
}

/** An embedded log in a folder of its own, and a way to open it again as the next process would. */
export async function openTemporary(overrides: Partial<EmbeddedOptions> = {}): Promise<{
  readonly topics: EmbeddedTopics
  readonly folder: string
  readonly reopen: () => Promise<EmbeddedTopics>
}> {
  const options = embeddedOptions(overrides)
  return { topics: await openEmbedded(options), folder: options.folder, reopen: () => openEmbedded(options) }
}
