import { HaetaeError } from '../platform/errors.ts'

const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Replaces `${NAME}` and `${NAME:-default}` by the environment's value. An unset variable without a default is an error
 * (`where` names the place); an empty one counts as unset, as in a shell.
 */
export function expand(text: string, env: NodeJS.ProcessEnv, where: string): string {
  return text.replace(REFERENCE, (_, name: string, otherwise: string | undefined) => {
    const value = env[name] || otherwise
    if (value !== undefined) return value
    throw new HaetaeError(
      'CONFIG_INVALID',
      `${where}: the environment variable ${name} is not set: set it, or write \${${name}:-default}`,
    )
  })
}

export function hasReference(text: string): boolean {
  return text.search(REFERENCE) >= 0
}
