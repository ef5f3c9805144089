import { hash } from 'node:crypto'

/** The same parts always give the same id: 128 bits of SHA-256 over them, 32 hex digits. */
export function stableId(...parts: readonly (string | number)[]): string {
  return hash('sha256', parts.join('\n'), 'hex').slice(0, 32)
}
