/** `npm run docs`: writes the pages that are made from the code. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { componentsPage } from './components.ts'
import { withRules } from './detections.ts'
import { withMetrics } from './metrics.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
function write(name: string, text: string): void {
  writeFileSync(pathOf(name), text)
  console.error(`wrote ${pathOf(name)}`)
}

write('components.md', componentsPage())
write('operations.md', withMetrics(readFileSync(pathOf('operations.md'), 'utf8')))
write('detections.md', await withRules(readFileSync(pathOf('detections.md'), 'utf8')))
