import { parseArgs } from 'node:util'
import { systemClock } from '../../platform/clock.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { createLog } from '../../platform/log.ts'
import type { TemplateChange } from '../../sinks/opensearch/template-change.ts'
import { changeTemplate } from '../../sinks/opensearch.ts'
import type { Command } from '../command.ts'
import { shippedPipelines } from '../files.ts'
import { loadPipeline, requirementsOf } from '../load.ts'
import { pipelineVariables, readSettings } from '../settings.ts'
import { type Format, formatOf, type Row, render } from '../terminal.ts'

/** Of one template in a table; the other formats show all. */
const ROWS_MAX = 20

/** Index templates as pipelines want them: shown, or put. With `templates: by-command` nobody else does it. */
export const opensearch: Command = {
  name: 'opensearch',
  usage: 'plan [FILE …] | apply [FILE …]   [-o table|json|ndjson]',
  summary: 'show how the index templates in OpenSearch differ from what the pipelines want, or put them there',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const [action, ...files] = positionals
    if (action !== 'plan' && action !== 'apply') throw new HaetaeError('USAGE', 'opensearch plan or opensearch apply')
    const format = formatOf(values.output)
    const changes: TemplateChange[] = []
    const parts = { clock: systemClock, log: createLog('warn') }
    for (const config of sinkConfigs(files)) changes.push(await changeTemplate(config, action === 'apply', parts))
    const rows = changes.flatMap(change => rowsOf(change, format))
    console.log(render(rows, ['template', 'action', 'what', 'cluster', 'wanted'], format))
    return 0
  },
}

/**
 * Of the OpenSearch sinks of the files that are named, whatever they say of templates; else of all shipped pipelines whose requirements
 * are met, but for sinks that leave their template to somebody else. One for an index.
 */
function sinkConfigs(files: readonly string[]): readonly unknown[] {
  const variables = pipelineVariables(readSettings())
  const named = files.length > 0
  const chosen = named ? files : shippedPipelines().filter(file => isSetUp(file))
  const configs = chosen
    .flatMap(file => loadPipeline(file, variables).sinks)
    .filter(({ spec }) => spec.type === 'opensearch')
    .map(({ config }) => config as { readonly url: string; readonly index: string; readonly templates: string })
  const wanted = named ? configs : configs.filter(({ templates }) => templates !== 'unmanaged')
  if (wanted.length > 0) return [...new Map(wanted.map(config => [`${config.url} ${config.index}`, config])).values()]
  if (named) throw new HaetaeError('USAGE', 'none of the files has an opensearch sink')
  const why = configs.length > 0 ? 'OPENSEARCH_TEMPLATES is unmanaged: name a file' : 'OPENSEARCH_URL is not set'
  throw new HaetaeError('USAGE', `${why}: no pipeline has a template of ours there`)
}

function isSetUp(file: string): boolean {
  return requirementsOf(file).every(name => process.env[name])
}

function rowsOf({ template, action, differences }: TemplateChange, format: Format): Row[] {
  const rows = differences.map(({ path, present, wanted }): Row => {
    return { template, action, what: path, cluster: present, wanted }
  })
  if (rows.length === 0) return [{ template, action, what: '', cluster: '', wanted: '' }]
  if (format !== 'table' || rows.length <= ROWS_MAX) return rows
  const rest = `and ${rows.length - ROWS_MAX} more: -o json shows all`
  return [...rows.slice(0, ROWS_MAX), { template, action, what: rest, cluster: '', wanted: '' }]
}
