import { HaetaeError } from '../errors.ts'
import { type FolderLock, lockFolder } from '../folder-lock.ts'

/** Makes this process the owner of the topic log. Throws TOPIC_OWNED when another one is, TOPIC_UNWRITABLE when none can be. */
export function lockLog(folder: string): FolderLock {
  return lockFolder(folder, {
    taken: (owner, options) =>
      new HaetaeError(
        'TOPIC_OWNED',
        `the topic log in ${folder} belongs to another process (${owner}): stop it, or set HAETAE_STATE to a folder of ` +
          'its own for this one; the commands that only ask or append talk to the owner by themselves',
        options,
      ),
    unusable: (why, options) =>
      new HaetaeError(
        'TOPIC_UNWRITABLE',
        `the topic log in ${folder} cannot be locked (${why}): check the disk and who owns the folder`,
        options,
      ),
  })
}
