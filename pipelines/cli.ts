import { asError, HaetaeError } from '../platform/errors.ts'
import type { Command } from './command.ts'
import { audit } from './commands/audit.ts'
import { check } from './commands/check.ts'
import { deadletter } from './commands/deadletter.ts'
import { decisions } from './commands/decisions.ts'
import { doctor } from './commands/doctor.ts'
import { explain } from './commands/explain.ts'
import { incidents } from './commands/incidents.ts'
import { ip } from './commands/ip.ts'
import { keys } from './commands/keys.ts'
import { lake } from './commands/lake.ts'
import { map } from './commands/map.ts'
import { opensearch } from './commands/opensearch.ts'
import { reload } from './commands/reload.ts'
import { rules } from './commands/rules.ts'
import { run } from './commands/run.ts'
import { slack } from './commands/slack.ts'
import { test } from './commands/test.ts'
import { topics } from './commands/topics.ts'
import { up } from './commands/up.ts'

const commands: readonly Command[] = [
  up,
  run,
  check,
  test,
  map,
  explain,
  deadletter,
  lake,
  topics,
  opensearch,
  rules,
  reload,
  decisions,
  audit,
  incidents,
  ip,
  keys,
  slack,
  doctor,
]

/** The command line. Events go to stdout, notices to stderr. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  const command = commands.find(each => each.name === name)
  if (!command) {
    const asked = name === undefined || name === 'help' || name === '--help' || name === '-h'
    if (!asked) console.error(`haetae: there is no command "${name}"`)
    console.error(help())
    return asked && name !== undefined ? 0 : 2
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    console.error(usageOf(command))
    return 0
  }
  try {
    return await command.run(rest)
  } catch (thrown) {
    return tell(command, thrown)
  }
}

function tell(command: Command, thrown: unknown): number {
  const error = asError(thrown)
  if (isUsage(error)) {
    console.error(`haetae ${command.name}: ${error.message}\n${usageOf(command)}`)
    return 2
  }
  if (error instanceof HaetaeError) {
    console.error(`haetae ${command.name}: ${error.code}: ${error.message}`)
    return error.code.startsWith('CONFIG_') || error.code === 'SECRET_MISSING' ? 2 : 1
  }
  console.error(`haetae ${command.name}:`, error)
  return 1
}

/** Our own USAGE, or what node:util parseArgs says of a wrong option. */
function isUsage(error: Error): boolean {
  if (error instanceof HaetaeError) return error.code === 'USAGE'
  return 'code' in error && typeof error.code === 'string' && error.code.startsWith('ERR_PARSE_ARGS')
}

function usageOf({ name, usage, summary }: Command): string {
  return `usage: haetae ${name} ${usage}\n  ${summary}`
}

function help(): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
  return ['usage: haetae <command> …', '', ...lines, '', 'haetae <command> --help says more.'].join('\n')
}
