/** Makes the modules of WebAssembly in platform/json of their texts: `npm run kernel`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import openWabt from 'wabt'

const folder = new URL('../../../platform/json/', import.meta.url)

export const kernels = ['scan', 'needles'] as const
type Kernel = (typeof kernels)[number]

/** The text of scan-module.ts, or another. */
export async function moduleText(name: Kernel): Promise<string> {
  const wabt = await openWabt()
  // As text: of a Buffer, wabt reads the whole pool that it lies in.
  const source = readFileSync(new URL(`${name}.wat`, folder), 'latin1')
  const parsed = wabt.parseWat(`${name}.wat`, source, { simd: true })
  parsed.validate()
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString('base64')
  parsed.destroy()
  const lines = base64.match(/.{1,110}/g)?.map(line => `  '${line}',`) ?? []
  return `/** ${name}.wat as a WebAssembly module, in base64. Made by \`npm run kernel\`: not to be edited. */
export const moduleBase64 = [
${lines.join('\n')}
].join('')
`
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const name of kernels) writeFileSync(new URL(`${name}-module.ts`, folder), await moduleText(name))
