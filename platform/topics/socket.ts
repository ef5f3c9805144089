import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { HaetaeError } from '../errors.ts'

export const SOCKET_FILE = 'topics.sock'
/** sun_path holds 108 bytes on Linux and 104 elsewhere, with a final zero. */
const PATH_BYTES_MAX = 100

/**
 * The path under which a socket of this folder, the owner's unless said, is bound and reached; `close` when it is not needed any more.
 * A folder whose path is too long for a socket address is reached through its descriptor, where the system has /proc.
 */
export function socketPath(folder: string, name = SOCKET_FILE): { readonly path: string; close(): void } {
  const path = join(folder, name)
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return { path, close: () => undefined }
  if (process.platform !== 'linux') {
    throw new HaetaeError('CONFIG_INVALID', `the path ${path} is too long for a socket: use a shorter HAETAE_STATE`)
  }
  const file = openSync(folder, 'r')
  return { path: `/proc/self/fd/${file}/${name}`, close: () => closeSync(file) }
}
