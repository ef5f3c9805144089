import { readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The pipelines that come with Haetae: every YAML file beside this one. */
export function shippedPipelines(): string[] {
  const folder = dirname(fileURLToPath(import.meta.url))
  return readdirSync(folder)
    .filter(name => name.endsWith('.yaml'))
    .sort()
    .map(name => shortest(join(folder, name)))
}

/** As a person in the current folder would write it. */
function shortest(path: string): string {
  const near = relative('.', path)
  return near.startsWith('..') ? path : near
}
