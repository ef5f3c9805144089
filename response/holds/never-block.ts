import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { z } from 'zod'
import { type Cidr, parseCidr } from '../../platform/address.ts'
import { asError, HaetaeError } from '../../platform/errors.ts'
import { Guard, type Named } from './guard.ts'

const NETWORKS_MAX = 100_000
const FILE_BYTES_MAX = 16 * 1024 * 1024
/** A published list that suddenly has lost more than this share is a broken download, not a change. */
const LOST_SHARE_MAX = 0.5

const cidr = z.string().transform((text, context) => {
  const network = parseCidr(text)
  if (network) return network
  context.addIssue({
    code: 'custom',
    message: `${text} is no address and no network (bits behind the prefix must be 0)`,
  })
  return z.NEVER
})

/** The file of networks that are never blocked. */
const neverBlockFile = z.strictObject({
  networks: z.array(z.strictObject({ name: z.string().min(1).max(100), cidrs: z.array(cidr) })).default([]),
  lists: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(100),
        file: z.string().min(1),
        services: z.array(z.string()).min(1).optional(),
      }),
    )
    .max(50)
    .default([]),
})

/** As Google and Bing publish their crawlers, and AWS its networks (https://ip-ranges.amazonaws.com/ip-ranges.json). */
const published = z.object({
  prefixes: z.array(
    z.object({
      ipv4Prefix: z.string().optional(),
      ipv6Prefix: z.string().optional(),
      ip_prefix: z.string().optional(),
      service: z.string().optional(),
    }),
  ),
  ipv6_prefixes: z.array(z.object({ ipv6_prefix: z.string(), service: z.string().optional() })).default([]),
})

export const shippedNeverBlock = fileURLToPath(new URL('../never-block.yaml', import.meta.url))

/**
 * Reads the file and the lists it names, paths relative to it. `before`: what the lists held; one that lost more than half of its
 * networks is refused. Throws CONFIG_INVALID or CONFIG_UNREADABLE.
 */
export async function readNeverBlock(file: string, before: readonly Named[] = []): Promise<readonly Named[]> {
  const given = neverBlockFile.safeParse(parse((await text(file)).toString('utf8')) ?? {})
  if (!given.success) throw new HaetaeError('CONFIG_INVALID', `${file}: ${z.prettifyError(given.error)}`)
  const named: Named[] = [...given.data.networks]
  for (const { name, file: list, services } of given.data.lists) {
    const path = resolve(dirname(file), list)
    const cidrs = networksOf(path, await text(path), services)
    const had = before.find(each => each.name === name)?.cidrs.length ?? 0
    if (cidrs.length < had * LOST_SHARE_MAX || cidrs.length === 0) {
      throw new HaetaeError('CONFIG_INVALID', `${path}: ${cidrs.length} networks where there were ${had}: not taken`)
    }
    named.push({ name, cidrs, published: true })
  }
  const count = named.reduce((sum, { cidrs }) => sum + cidrs.length, 0)
  if (count > NETWORKS_MAX) throw new HaetaeError('CONFIG_INVALID', `${file}: more than ${NETWORKS_MAX} networks`)
  return named
}

/**
 * What to say at start to whoever switches blocking on and has named nobody who must never be blocked; undefined: somebody is named.
 * Lists of crawlers do not count: nobody publishes where one's own offices are.
 */
function nobodyNamed(named: readonly Named[], file: string): string | undefined {
  if (named.some(({ cidrs, published }) => cidrs.length > 0 && !published)) return undefined
  return (
    `blocks are written to AWS WAF, and ${file} names no network of yours that must never be blocked: neither offices nor NAT ` +
    'gateways, monitors, payment providers and partners. Fill a copy of response/never-block.yaml in, and name it in HAETAE_NEVER_BLOCK'
  )
}

function networksOf(path: string, content: Buffer, services: readonly string[] | undefined): Cidr[] {
  let data: unknown
  try {
    data = JSON.parse(content.toString('utf8'))
  } catch (cause) {
    throw new HaetaeError('CONFIG_INVALID', `${path}: ${asError(cause).message}`, { cause })
  }
  const list = published.safeParse(data)
  if (!list.success) throw new HaetaeError('CONFIG_INVALID', `${path}: ${z.prettifyError(list.error)}`)
  const wanted = (service: string | undefined): boolean => !services || services.includes(service ?? '')
  const texts = [
    ...list.data.prefixes
      .filter(({ service }) => wanted(service))
      .map(({ ipv4Prefix, ipv6Prefix, ip_prefix }) => ipv4Prefix ?? ipv6Prefix ?? ip_prefix ?? ''),
    ...list.data.ipv6_prefixes.filter(({ service }) => wanted(service)).map(({ ipv6_prefix }) => ipv6_prefix),
  ]
  return texts.map(each => {
    const network = parseCidr(each)
    if (network) return network
    throw new HaetaeError('CONFIG_INVALID', `${path}: "${each.slice(0, 60)}" is no network`)
  })
}

async function text(path: string): Promise<Buffer> {
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX) throw new Error(`more than ${FILE_BYTES_MAX} bytes`)
    return await readFile(path)
  } catch (cause) {
    throw new HaetaeError('CONFIG_UNREADABLE', `${path}: ${asError(cause).message}`, { cause })
  }
}

/** The guard as its files say; read again when asked, the old one kept while they are broken. */
export class NeverBlock {
  readonly #file: string
  #named: readonly Named[] = []
  #said = ''
  guard = new Guard([])
  /** Why the files as they are now were not taken. */
  problem: string | undefined

  constructor(file: string) {
    this.#file = file
  }

  /** See `nobodyNamed`. */
  get warning(): string | undefined {
    return nobodyNamed(this.#named, this.#file)
  }

  /** For the start: without a list that can be read nothing may be blocked. */
  async load(): Promise<void> {
    this.#take(await readNeverBlock(this.#file))
  }

  /** Resolves with whether the guard changed. */
  async reload(): Promise<boolean> {
    try {
      const changed = this.#take(await readNeverBlock(this.#file, this.#named))
      this.problem = undefined
      return changed
    } catch (thrown) {
      this.problem = asError(thrown).message
      return false
    }
  }

  #take(named: readonly Named[]): boolean {
    const said = JSON.stringify(named)
    if (said === this.#said) return false
    this.#said = said
    this.#named = named
    this.guard = new Guard(named)
    return true
  }
}
