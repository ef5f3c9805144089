import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cached, runProgram } from './cache.ts'

/** Of the DuckDB version in package.json; an extension fits one version only. */
const PACKAGE = 'duckdb-extension-httpfs==1.5.5'

/** A folder with httpfs.duckdb_extension: DuckDB's own build and signature, as a Python package. */
export async function httpfsFolder(): Promise<string> {
  const folder = await cached(PACKAGE.replace('==', '-'), async making => {
    await runProgram('python3', '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', making, PACKAGE)
  })
  const versions = join(folder, 'duckdb_extension_httpfs', 'extensions')
  return join(versions, readdirSync(versions)[0]!)
}
