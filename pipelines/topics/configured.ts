import type { TopicConfig } from '../../platform/topics/contract.ts'
import { shippedPipelines } from '../files.ts'
import { writtenTopics } from '../load.ts'
import { loadWithStandIns } from '../offline.ts'
import type { Settings } from '../settings.ts'

/** The topics that pipelines write: of these files, or of all that are shipped. */
export function configuredTopics(
  settings: Settings,
  files: readonly string[] = shippedPipelines(),
): readonly TopicConfig[] {
  return writtenTopics(files.map(file => loadWithStandIns(file, settings).pipeline))
}
