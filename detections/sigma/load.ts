import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { asError, HaetaeError } from '../../platform/errors.ts'
import type { Placeholders } from './placeholders.ts'
import { type FileRules, type RuleSet, readRules, together } from './read.ts'

/** Rules that run in one process: each is a label of a metric. */
const RULES_MAX = 5_000
/** Files below the folders of rules. */
const FILES_MAX = 20_000

/** The rules that come with Haetae: our own, and SigmaHQ's unchanged. */
export const shippedRules = fileURLToPath(new URL('../rules/', import.meta.url))

/** Reads every .yml and .yaml file below the folders, in the order of their names. Throws CONFIG_INVALID for a folder that cannot be read. */
export async function loadRules(
  folders: readonly string[],
  except: readonly string[] = [],
  placeholders?: Placeholders,
): Promise<RuleSet> {
  const files: string[] = []
  for (const folder of folders) files.push(...(await ruleFiles(folder)))
  if (files.length > FILES_MAX)
    throw new HaetaeError('CONFIG_INVALID', `${files.length} rule files: there may be ${FILES_MAX}`)
  const sets: FileRules[] = []
  for (const file of files) sets.push(readRules(file, await readFile(file, 'utf8'), placeholders))
  const set = together(sets, except)
  if (set.rules.length + set.correlations.length > RULES_MAX)
    throw new HaetaeError('CONFIG_INVALID', `${set.rules.length} rules: there may be ${RULES_MAX}`)
  return set
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
