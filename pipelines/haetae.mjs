#!/usr/bin/env -S node --max-semi-space-size=8
// Haetae is TypeScript that Node 24 runs as it is. This launcher runs on any Node from 20 on, finds a Node 24 (this one,
// or the one that npm installed as an optional dependency) and hands over.
//
// --max-semi-space-size=8 (MiB; also in package.json): buffers live as long as the objects that point to them, and with a larger
// young generation they reach the bound at which V8 collects the whole heap. That cost a quarter of the CPU time
// (docs/performance.md).
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MAJOR = 24
const cli = join(dirname(fileURLToPath(import.meta.url)), 'cli.ts')

// Read by glibc when a process begins, so it takes another one. With an arena for each of eight threads, freed memory waits in all of
// them: 20 to 40 MiB (docs/performance.md).
const env = { MALLOC_ARENA_MAX: '2', ...process.env }
const isCurrent = Number(process.versions.node.split('.')[0]) >= NODE_MAJOR
const runsLong = ['up', 'run'].includes(process.argv[2])

if (isCurrent && runsLong && process.platform === 'linux' && process.env.MALLOC_ARENA_MAX === undefined) {
  // The same process goes on, under the same id.
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], env)
}
if (isCurrent) {
  const { main } = await import(pathToFileURL(cli).href)
  process.exitCode = await main(process.argv.slice(2))
} else {
  const node = installedNode()
  if (!node) {
    console.error(
      `haetae: Node ${process.versions.node} is too old: install Node ${NODE_MAJOR} or newer, or run npm ci with optional dependencies on Linux.`,
    )
    process.exit(2)
  }
  const child = spawn(node, [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env,
  })
  // A terminal sends SIGINT to both of us; forwarding it again is harmless, as repeats within a moment count as one.
  const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of forwarded) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    // Whoever waits for us must see what ended it, so that nobody here may catch the signal.
    for (const each of forwarded) process.removeAllListeners(each)
    process.kill(process.pid, signal)
  })
}

function installedNode() {
  const require = createRequire(import.meta.url)
  try {
    const path = join(dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`)), 'bin', 'node')
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}
