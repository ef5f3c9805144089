/** `npm run docs`: writes the pages that are made from the code. */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { componentsPage } from './components.ts'

const path = fileURLToPath(new URL('../../docs/components.md', import.meta.url))
writeFileSync(path, componentsPage())
console.error(`wrote ${path}`)
