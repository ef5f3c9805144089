import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Topics } from '../../platform/topics/contract.ts'
import { options } from '../topics/support.ts'
import { setOf, TOPIC } from './topics-child.ts'

export const CHILD = join(import.meta.dirname, 'topics-child.ts')

export interface Child {
  readonly process: ChildProcess
  /** Whole lines it said. */
  readonly lines: string[]
  said(pattern: RegExp): Promise<string>
  kill(): Promise<void>
}

const children: ChildProcess[] = []
/** Call in afterEach: ends what a test left running. */
export async function endChildren(): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

export function start(command: readonly string[]): Child {
  const [file = '', ...given] = command
  const child = spawn(file, given, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const lines: string[] = []
  let rest = ''
  let errors = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-4000)))
  return {
    process: child,
    lines,
    async said(pattern) {
      for (let waited = 0; waited < 60_000; waited += 5) {
        const line = lines.find(each => pattern.test(each))
        if (line !== undefined) return line
        if (child.exitCode !== null) throw new Error(`the child ended (${child.exitCode}): ${errors}`)
        await new Promise(resolve => setTimeout(resolve, 5))
      }
      throw new Error(`the child never said ${pattern}: ${lines.slice(-5).join(' | ')} ${errors}`)
    },
    async kill() {
      const ended = once(child, 'close')
      child.kill('SIGKILL')
      await ended
    },
  }
}

export function startOwner(folder: string, role: 'append' | 'hold', first = 0): Child {
  return start([process.execPath, CHILD, folder, role, String(first)])
}

/** The sets that were answered. */
export function answered(child: Child): number[] {
  return child.lines.filter(line => /^\d+$/.test(line)).map(Number)
}

/** Every record of the topic by set, after checking its content and its place. */
export async function readSets(topics: Topics): Promise<Map<number, number>> {
  const subscription = await topics.subscribe(options(TOPIC))
  const counts = new Map<number, number>()
  const next = new Map<number, bigint>()
  for (;;) {
    const fetched = await subscription.poll(AbortSignal.timeout(300))
    if (!fetched) break
    for (const { offset, value, key } of fetched.records) {
      expect(offset).toBe(next.get(fetched.partition) ?? 0n)
      next.set(fetched.partition, offset + 1n)
      const [set, position] = String(value).split(' ')[0]!.split('.').map(Number)
      const written = setOf(set!)[position!]!
      expect([key, String(value)]).toEqual([written.key, String(written.value)])
      counts.set(set!, (counts.get(set!) ?? 0) + 1)
    }
  }
  await subscription.close()
  return counts
}
