import { HaetaeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import type { IndexTemplate } from '../../platform/ocsf/index-template.ts'
import type { HttpAnswer, OpenSearch } from '../../platform/opensearch.ts'
import { wholeReason } from './outcome.ts'

/**
 * Puts the index template unless the very same one, or one of a newer program, is there. After a change, today's index
 * gets the new fields too. Throws SINK_UNAUTHORISED, SINK_MISCONFIGURED, or an error that time may mend.
 */
export async function installTemplate(
  server: OpenSearch,
  name: string,
  template: IndexTemplate,
  today: string,
  log: Log,
): Promise<void> {
  const path = `/_index_template/${name}`
  const found = await server.send({ method: 'GET', path })
  if (found.status !== 404) check(found, `reading the index template ${name}`, server)
  const present = found.status === 404 ? undefined : presentTemplate(found.body)
  if (present?.fingerprint === template._meta.fingerprint) return
  if (present && present.version > template.version) {
    log.warn('the index template is of a newer version of Haetae and stays', {
      template: name,
      version: present.version,
    })
    return
  }
  check(await server.send({ method: 'PUT', path, body: template }), `putting the index template ${name}`, server)
  log.info('the index template is installed', { template: name, version: template.version })
  if (!present) return
  const mapping = await server.send({ method: 'PUT', path: `/${today}/_mapping`, body: template.template.mappings })
  if (mapping.status === 200 || mapping.status === 404) return
  log.warn('new fields can be searched only from the next daily index on', {
    index: today,
    error: wholeReason(mapping.status, mapping.body),
  })
}

function check({ status, body }: HttpAnswer, doing: string, server: OpenSearch): void {
  if (status === 200) return
  const message = `${server.url}: ${doing} was answered with ${wholeReason(status, body)}`
  if (status === 401 || status === 403) {
    throw new HaetaeError(
      'SINK_UNAUTHORISED',
      `${message}: check auth, and that its role may manage index templates (or set manageTemplate: false)`,
    )
  }
  if (status === 408 || status === 429 || status >= 500) throw new Error(message)
  throw new HaetaeError('SINK_MISCONFIGURED', `${message}: check the url, and other templates of the same priority`)
}

function presentTemplate(body: unknown): { readonly version: number; readonly fingerprint: string } | undefined {
  const { index_templates: found } = body as {
    index_templates?: readonly { index_template?: Partial<IndexTemplate> }[]
  }
  const template = found?.[0]?.index_template
  return template && { version: template.version ?? 0, fingerprint: template._meta?.fingerprint ?? '' }
}
