import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { HaetaeError } from './errors.ts'

/** How configuration names a secret: where it is, never what it is. A literal is a schema error by construction. */
export const secretRef = z.union([
  z.strictObject({ env: z.string().min(1) }),
  z.strictObject({ file: z.string().min(1) }),
])
export type SecretRef = z.output<typeof secretRef>

/** Reads the secret, without a final line feed. Throws SECRET_MISSING when there is none; never prints its value. */
export function readSecret(ref: SecretRef, env: NodeJS.ProcessEnv = process.env): string {
  if ('env' in ref) {
    const value = env[ref.env]
    if (value) return value
    throw new HaetaeError(
      'SECRET_MISSING',
      `the environment variable ${ref.env} is empty or not set: set it to the secret`,
    )
  }
  try {
    const value = readFileSync(ref.file, 'utf8').replace(/\r?\n$/, '')
    if (value) return value
  } catch (cause) {
    throw new HaetaeError('SECRET_MISSING', `the secret file ${ref.file} cannot be read: create it with mode 0600`, {
      cause,
    })
  }
  throw new HaetaeError('SECRET_MISSING', `the secret file ${ref.file} is empty: write the secret into it`)
}
