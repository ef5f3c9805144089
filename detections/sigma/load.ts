import { createHash } from 'node:crypto'
import { open, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asError, HaetaeError } from '../../platform/errors.ts'
import type { Placeholders } from './placeholders.ts'
import { FILE_CHARS_MAX, type FileRules, type RuleSet, readRules, together } from './read.ts'

/** Rules that run in one process: each is a label of a metric. */
const RULES_MAX = 5_000
/** Files below the folders of rules. */
const FILES_MAX = 20_000
/** No file of so many bytes has few enough characters to be read as rules. */
const FILE_BYTES_MAX = FILE_CHARS_MAX * 4

/** The rules that come with Haetae: our own, and SigmaHQ's unchanged. */
export const shippedRules = fileURLToPath(new URL('../rules/', import.meta.url))

/** Reads every .yml and .yaml file below the folders, in the order of their names. Throws CONFIG_INVALID for a folder that cannot be read. */
export async function loadRules(
  folders: readonly string[],
  except: readonly string[] = [],
  placeholders?: Placeholders,
): Promise<RuleSet> {
  const sets: FileRules[] = []
  for (const file of await ruleFilesOf(folders)) {
    sets.push(readRules(file, (await beginningOf(file)).toString('utf8'), placeholders))
  }
  const set = together(sets, except)
  if (set.rules.length + set.correlations.length > RULES_MAX)
    throw new HaetaeError('CONFIG_INVALID', `${set.rules.length} rules: there may be ${RULES_MAX}`)
  return set
}

/** Names what the files hold: their names without folders, and their bytes, in the order in which loadRules takes them. */
export async function revisionOfRules(folders: readonly string[]): Promise<string> {
  const print = createHash('sha256')
  for (const file of await ruleFilesOf(folders)) {
    const bytes = await beginningOf(file)
    print.update(JSON.stringify([basename(file), bytes.length])).update(bytes)
  }
  return print.digest('hex')
}

async function ruleFilesOf(folders: readonly string[]): Promise<readonly string[]> {
  const files: string[] = []
  for (const folder of folders) files.push(...(await ruleFiles(folder)))
  if (files.length > FILES_MAX)
    throw new HaetaeError('CONFIG_INVALID', `${files.length} rule files: there may be ${FILES_MAX}`)
  return files
}

/** All of a file that may be read as rules; of a larger one enough to see that. */
async function beginningOf(file: string): Promise<Buffer> {
  const handle = await open(file).catch((cause: unknown) => {
    throw new HaetaeError('CONFIG_INVALID', `cannot read the rules in ${file}: ${asError(cause).message}`, { cause })
  })
  try {
    const { size } = await handle.stat()
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(Math.min(size, FILE_BYTES_MAX)), 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function ruleFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    return entries
      .filter(entry => entry.isFile() && /\.ya?ml$/.test(entry.name))
      .map(entry => join(entry.parentPath, entry.name))
      .sort()
  } catch (cause) {
    throw new HaetaeError('CONFIG_INVALID', `cannot read the rules in ${folder}: ${asError(cause).message}`, { cause })
  }
}
