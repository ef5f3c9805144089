import { join } from 'node:path'
import { isS3Location } from '../s3.ts'
import { FolderStore } from './folder-store.ts'
import { openS3Store } from './s3-store.ts'
import type { LakeStore } from './store.ts'

/** `workFolder`: for parts of a lake that is not a folder itself. Throws CONFIG_INVALID for a location that cannot be one. */
export async function openLakeStore(location: string, workFolder: string): Promise<LakeStore> {
  if (isS3Location(location)) return openS3Store(location, join(workFolder, 'parts'))
  return new FolderStore(location)
}
