import { relative } from 'node:path'
import { parseArgs } from 'node:util'
import { brokenReasons } from '../../detections/sigma/refusal.ts'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../command.ts'
import { offlineDeps } from '../offline.ts'
import { failedOf, type Outcome, sayOutcomes } from '../outcomes.ts'
import { readFolders, ruleStates, runRuleTests } from '../rule-tests.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'

/** Which detection rules there are, which of them run, and whether they find what they say they find. */
export const rules: Command = {
  name: 'rules',
  usage: 'list [FOLDER …] [-o table|json|ndjson] | test [FOLDER …] [-o table|json|ndjson]',
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
    if (action === 'test') return test(folders, values.output)
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

async function test(folders: readonly string[], output: string | undefined): Promise<number> {
  const set = await readFolders(folders)
  if (output !== undefined) formatOf(output)
  const results = await runRuleTests(set, offlineDeps('rules', readSettings()))
  const outcomes = [
    ...results.map(({ file, name, failure }): Outcome => {
      return { file: relative('.', file), name, failures: failure === undefined ? [] : [failure] }
    }),
    // A rule that cannot be read fails its tests: they cannot have passed. One that is refused for what it asks has nothing to test.
    ...set.refused
      .filter(({ reason }) => brokenReasons.includes(reason))
      .map(({ where, reason, message }): Outcome => ({ file: where, name: reason, failures: [message] })),
  ]
  const untested = [...set.rules, ...set.correlations].filter(({ tests }) => tests.length === 0).length
  sayOutcomes(outcomes, output, `, ${untested} rules carry no tests`)
  return failedOf(outcomes) > 0 ? 1 : 0
}
