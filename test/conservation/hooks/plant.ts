/**
 * Puts a bug into a process that is started with `--import` of this file: the modules that HAETAE_TEST_PLANT names are
 * changed as they are loaded, on no disk. A text that is not there exactly once ends the process.
 */
import { registerHooks } from 'node:module'
import type { Edit } from '../plants.ts'

const edits: readonly Edit[] = JSON.parse(process.env['HAETAE_TEST_PLANT'] || '[]')

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const mine = edits.filter(({ file }) => url.endsWith(`/${file}`))
    if (mine.length === 0) return loaded
    let source = Buffer.from(loaded.source as Uint8Array).toString()
    for (const { file, find, put } of mine) {
      if (source.split(find).length !== 2) throw new Error(`the bug cannot be planted: ${file} has not once: ${find}`)
      source = source.replace(find, () => put)
    }
    return { ...loaded, source }
  },
})
