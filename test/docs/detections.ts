/** The tables of docs/detections.md that are made from the rules. */
import { basename, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { shippedRules } from '../../detections/sigma/load.ts'
import { refusals } from '../../detections/sigma/refusal.ts'
import { type RuleState, readFolders, ruleStates } from '../../pipelines/rule-tests.ts'

const BEGIN = '<!-- rules: written by `npm run docs`, change the rules and not this -->'
const END = '<!-- rules: end -->'
const root = fileURLToPath(new URL('../../', import.meta.url))

/** The page with its generated part made anew. */
export async function withRules(page: string): Promise<string> {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error('docs/detections.md has lost the marks of its generated part')
  return `${page.slice(0, from)}${BEGIN}\n\n${await tables()}\n\n${page.slice(to)}`
}

async function tables(): Promise<string> {
  const states = ruleStates(await readFolders([]))
  const folders = [...new Set(states.map(({ file }) => relative(shippedRules, file).split('/')[0]!))]
  return [...folders.map(folder => folderTable(folder, states)), reasonsTable()].join('\n\n')
}

function folderTable(folder: string, all: readonly RuleState[]): string {
  const states = all.filter(({ file }) => relative(shippedRules, file).startsWith(`${folder}/`))
  const running = states.filter(({ state }) => state === 'runs').length
  const rows = states.map(
    ({ title, level, state, note, file }) =>
      `| ${cell(title)} | ${level} | ${state} | ${cell(withoutPlace(note))} | \`${basename(file)}\` |`,
  )
  const path = relative(root, shippedRules)
  return [
    `### ${path}/${folder}: ${running} of ${states.length} run`,
    '',
    '| rule | level | state | | file |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function reasonsTable(): string {
  const rows = Object.entries(refusals).map(([reason, sentence]) => `| \`${reason}\` | ${sentence} |`)
  return ['### Reasons for which a rule does not run', '', '| state | |', '| --- | --- |', ...rows].join('\n')
}

/** A place in a file of this machine does not belong on a page. */
function withoutPlace(note: string): string {
  return note.replace(/^.*?\.ya?ml:\d+:\d+: /, '')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
