import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Settings } from './settings.ts'
import { holdsRecords } from './topics/ask.ts'

/** What became of the sample: `sample.json` in the state folder. */
const sampleNote = z.strictObject({
  /** The time of its latest record. */
  endMs: z.int(),
  finished: z.boolean(),
})
type SampleNote = z.infer<typeof sampleNote>

/**
 * The time at which the sample is to end when it is to be replayed without being asked for, else undefined. It is where nothing
 * was ever stored, and where an earlier replay broke off: that one goes on with the same records, so that what is there
 * already is recognised.
 */
export async function sampleDue(settings: Settings, nowMs: number): Promise<number | undefined> {
  const note = readNote(settings)
  if (note) return note.finished ? undefined : note.endMs
  return (await holdsRecords(settings)) || holdsFiles(settings.lake) ? undefined : nowMs
}

export function noteSample(settings: Settings, note: SampleNote): void {
  const path = pathOf(settings)
  writeFileSync(`${path}.new`, `${JSON.stringify(note)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

function readNote(settings: Settings): SampleNote | undefined {
  try {
    return sampleNote.parse(JSON.parse(readFileSync(pathOf(settings), 'utf8')))
  } catch {
    return undefined // None was begun, or nobody can say.
  }
}

function pathOf({ stateFolder }: Settings): string {
  return join(stateFolder, 'sample.json')
}

function holdsFiles(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).length > 0
}
