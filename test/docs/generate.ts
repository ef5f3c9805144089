/** `npm run docs`: writes the pages that are made from the code. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { componentsPage } from './components.ts'
import { withRules } from './detections.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url))
function write(name: string, text: string): void {
  writeFileSync(pathOf(name), text)
  console.error(`wrote ${pathOf(name)}`)
}

write('components.md', componentsPage())
write('detections.md', await withRules(readFileSync(pathOf('detections.md'), 'utf8')))
