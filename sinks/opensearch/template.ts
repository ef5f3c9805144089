import { HaetaeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import type { IndexTemplate } from '../../platform/ocsf/index-template.ts'
import type { HttpAnswer, OpenSearch } from '../../platform/opensearch.ts'
import { wholeReason } from './outcome.ts'

/** What the cluster has under a name, beside what this program wants there. */
export interface TemplateState {
  readonly name: string
  readonly wanted: IndexTemplate
  /** As the cluster gives it, which is not to the letter as it was put: numbers come back as text. */
  readonly present: Partial<IndexTemplate> | undefined
  /** `other`: of an older program or another configuration. `newer`: of a newer program, which older ones leave alone. */
  readonly standing: 'missing' | 'other' | 'same' | 'newer'
}

/** Throws SINK_UNAUTHORISED, SINK_MISCONFIGURED, or an error that time may mend. */
export async function readTemplate(server: OpenSearch, name: string, wanted: IndexTemplate): Promise<TemplateState> {
  const found = await server.send({ method: 'GET', path: pathOf(name) })
  if (found.status === 404) return { name, wanted, present: undefined, standing: 'missing' }
  check(found, `reading the index template ${name}`, server)
  const present = presentTemplate(found.body)
  if (!present) return { name, wanted, present, standing: 'missing' }
  // By what it was made from, not by its text: somebody may have tuned it, and that stays.
  const same = present._meta?.fingerprint === wanted._meta.fingerprint
  const newer = (present.version ?? 0) > wanted.version
  return { name, wanted, present, standing: same ? 'same' : newer ? 'newer' : 'other' }
}

/** Puts the template; where there was one, today's index gets the new fields, too. Throws as readTemplate does. */
export async function putTemplate(
  server: OpenSearch,
  { name, wanted, present }: TemplateState,
  today: string,
  log: Log,
): Promise<void> {
  check(
    await server.send({ method: 'PUT', path: pathOf(name), body: wanted }),
    `putting the index template ${name}`,
    server,
  )
  log.info('the index template is installed', { template: name, version: wanted.version })
  if (!present) return
  const mapping = await server.send({ method: 'PUT', path: `/${today}/_mapping`, body: wanted.template.mappings })
  if (mapping.status === 200 || mapping.status === 404) return
  log.warn('new fields can be searched only from the next daily index on', {
    index: today,
    error: wholeReason(mapping.status, mapping.body),
  })
}

/** Puts the template unless the very same one, or one of a newer program, is there. Throws as readTemplate does. */
export async function installTemplate(
  server: OpenSearch,
  name: string,
  wanted: IndexTemplate,
  today: string,
  log: Log,
): Promise<void> {
  const state = await readTemplate(server, name, wanted)
  if (state.standing === 'newer') sayNewer(state, log)
  else if (state.standing !== 'same') await putTemplate(server, state, today, log)
}

/**
 * For templates that a command installs. Without one, nothing may be written: the index would be made with types guessed
 * from the first document, and keep them. With an older one writing goes on: fields it lacks are stored, not searchable.
 * Throws as readTemplate does, and SINK_MISCONFIGURED while there is no template.
 */
export async function requireTemplate(
  server: OpenSearch,
  name: string,
  wanted: IndexTemplate,
  log: Log,
): Promise<void> {
  const state = await readTemplate(server, name, wanted)
  if (state.standing === 'missing') {
    throw new HaetaeError(
      'SINK_MISCONFIGURED',
      `${server.url} has no index template ${name}, and nothing is written before: haetae opensearch apply`,
    )
  }
  if (state.standing === 'newer') sayNewer(state, log)
  if (state.standing === 'other') {
    log.warn('the index template is older than this program or of another configuration: haetae opensearch apply', {
      template: name,
      version: state.present?.version ?? 0,
    })
  }
}

function sayNewer({ name, present }: TemplateState, log: Log): void {
  log.warn('the index template is of a newer version of Haetae and stays', {
    template: name,
    version: present?.version ?? 0,
  })
}

function pathOf(name: string): string {
  return `/_index_template/${name}`
}

function check({ status, body }: HttpAnswer, doing: string, server: OpenSearch): void {
  if (status === 200) return
  const message = `${server.url}: ${doing} was answered with ${wholeReason(status, body)}`
  if (status === 401 || status === 403) {
    throw new HaetaeError(
      'SINK_UNAUTHORISED',
      `${message}: check auth, and that its role may manage index templates (or set templates: by-command or unmanaged)`,
    )
  }
  if (status === 408 || status === 429 || status >= 500) throw new Error(message)
  throw new HaetaeError('SINK_MISCONFIGURED', `${message}: check the url, and other templates of the same priority`)
}

function presentTemplate(body: unknown): Partial<IndexTemplate> | undefined {
  const { index_templates: found } = body as {
    index_templates?: readonly { index_template?: Partial<IndexTemplate> }[]
  }
  return found?.[0]?.index_template
}
