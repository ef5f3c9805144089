/** Makes platform/json/scan-module.ts of scan.wat: `npm run kernel`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import openWabt from 'wabt'

const folder = new URL('../../../platform/json/', import.meta.url)

/** The text of scan-module.ts. */
export async function moduleText(): Promise<string> {
  const wabt = await openWabt()
  // As text: of a Buffer, wabt reads the whole pool that it lies in.
  const source = readFileSync(new URL('scan.wat', folder), 'latin1')
  const parsed = wabt.parseWat('scan.wat', source, { simd: true })
  parsed.validate()
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString('base64')
  parsed.destroy()
  const lines = base64.match(/.{1,110}/g)?.map(line => `  '${line}',`) ?? []
  return `/** scan.wat as a WebAssembly module, in base64. Made by \`npm run kernel\`: not to be edited. */
export const moduleBase64 = [
${lines.join('\n')}
].join('')
`
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL('scan-module.ts', folder), await moduleText())
