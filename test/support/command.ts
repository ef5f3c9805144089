import { vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'

export interface Ran {
  readonly code: number
  /** What it wrote, a call of console a line. */
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process. */
export async function runCommand(...args: readonly string[]): Promise<Ran> {
  const out = vi.spyOn(console, 'log').mockImplementation(() => undefined)
  const err = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  try {
    const code = await main(args)
    const text = (calls: readonly (readonly unknown[])[]): string => calls.map(call => call.join(' ')).join('\n')
    return { code, out: text(out.mock.calls), err: text(err.mock.calls) }
  } finally {
    out.mockRestore()
    err.mockRestore()
  }
}
