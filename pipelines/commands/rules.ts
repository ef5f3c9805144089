import { relative } from 'node:path'
import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { offlineDeps } from '../offline.ts'
import { readFolders, ruleStates, runRuleTests } from '../rule-tests.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'

/** Which detection rules there are, which of them run, and whether they find what they say they find. */
export const rules: Command = {
  name: 'rules',
  usage: 'list [FOLDER …] [-o table|json|ndjson] | test [FOLDER …]',
  summary:
    'list Sigma rules, and of those that do not run the reason, or run the tests that rules carry (those that come with ' +
    'Haetae when no folder is named)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const [action, ...folders] = positionals
    if (action === 'list') return list(folders, values.output)
    if (action === 'test' && values.output === undefined) return test(folders)
    throw new HaetaeError('USAGE', 'rules list [FOLDER …], or rules test [FOLDER …]')
  },
}

async function list(folders: readonly string[], output: string | undefined): Promise<number> {
  const format = formatOf(output)
  const states = ruleStates(await readFolders(folders)).map(state => ({ ...state, file: relative('.', state.file) }))
  const columns = ['id', 'level', 'state', 'title', 'note']
  console.log(render(states, columns, format))
  const running = states.filter(({ state }) => state === 'runs').length
  console.error(`${running} rules run, ${states.length - running} are refused`)
  return 0
}

/** A rule that cannot be read fails its tests: they cannot have passed. One that is refused for what it asks has nothing to test. */
const broken: readonly string[] = ['unreadable', 'invalid', 'duplicate']

async function test(folders: readonly string[]): Promise<number> {
  const set = await readFolders(folders)
  const results = await runRuleTests(set, offlineDeps('rules', readSettings()))
  for (const { file, name, failure } of results) {
    console.log(`${failure === undefined ? 'ok  ' : 'FAIL'} ${relative('.', file)}: ${name}`)
    if (failure !== undefined) console.log(`       ${failure}`)
  }
  const wrong = set.refused.filter(({ reason }) => broken.includes(reason))
  for (const { where, message } of wrong) console.log(`FAIL ${where}: ${message}`)
  const failed = results.filter(({ failure }) => failure !== undefined).length + wrong.length
  const untested = [...set.rules, ...set.correlations].filter(({ tests }) => tests.length === 0).length
  console.log(`${results.length + wrong.length - failed} passed, ${failed} failed, ${untested} rules carry no tests`)
  return failed > 0 ? 1 : 0
}
