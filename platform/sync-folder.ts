import { open } from 'node:fs/promises'

/** So that a name made or changed in this folder is still there after a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
