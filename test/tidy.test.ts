/** The shape of the repository: who imports whom, sizes, names, and what must not appear. docs/architecture.md has the table. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { errorCodes } from '../platform/errors.ts'
import { circlesOf } from './support/circles.ts'
import { codeOnly, functionsIn } from './support/source-text.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What a folder may import besides itself. `test` and `bench` stand apart: see below. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  engine: ['platform'],
  sources: ['engine', 'platform'],
  enrichers: ['engine', 'platform'],
  detections: ['engine', 'platform'],
  sinks: ['engine', 'platform'],
  response: ['engine', 'platform'],
  dashboards: ['platform'],
  reports: ['platform', 'dashboards'],
  console: ['platform', 'dashboards', 'reports'],
  services: ['platform'],
  // biome-ignore format: one row
  pipelines: ['platform', 'engine', 'sources', 'enrichers', 'detections', 'sinks', 'response', 'dashboards', 'reports', 'console'],
}
const componentFolders = ['sources', 'enrichers', 'detections', 'sinks', 'response']

const FILE_LINES_MAX = 350
const FUNCTION_LINES_MAX = 70
/** Giants that are tolerated, with the size they may not outgrow. To be emptied, never filled. */
const toleratedFiles: Readonly<Record<string, number>> = {}
/** The longest function of a file. */
const toleratedFunctions: Readonly<Record<string, number>> = {
  'test/support/opensearch-server.ts': 122,
  'test/topics/contract-groups.ts': 125,
  'test/topics/contract.ts': 209,
}

const ignored = new Set(['node_modules', '.git', 'var', 'coverage', 'bench/data'])

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (ignored.has(path)) return []
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}

const files = filesBelow('.')
const sources = files.filter(path => path.endsWith('.ts'))
const text = (path: string): string => readFileSync(join(root, path), 'utf8')
const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '.')

/** Modules that a file names in an import or export, with comments out of the way. */
function importsOf(path: string): readonly string[] {
  const source = text(path)
  const code = codeOnly(source)
  return [...code.matchAll(/\b(from|import)\b/g)].flatMap(({ index, 0: word }) => {
    const named = /^\s*\(?\s*(['"])([^'"]+)\1/.exec(source.slice(index + word.length, index + word.length + 300))
    return named?.[2] ? [named[2]] : []
  })
}

describe('imports', () => {
  const ours = sources.flatMap(path =>
    importsOf(path)
      .filter(name => name.startsWith('.'))
      .map(name => ({ path, name, target: join(dirname(path), name) })),
  )

  test('are found at all', () => {
    expect(ours.length).toBeGreaterThan(sources.length)
    expect(importsOf('test/tidy.test.ts')).toEqual(
      expect.arrayContaining(['node:fs', 'vitest', '../platform/errors.ts', './support/source-text.ts']),
    )
  })

  test.each([
    ['platform', 'engine'],
    ['engine', 'sinks'],
    ['sinks', 'sources'],
    ['enrichers', 'sinks'],
    ['sources', 'pipelines'],
    ['pipelines', 'test'],
    ['pipelines', 'services'],
    ['bench', 'test'],
    ['unheard-of', 'platform'],
  ])('would be wrong from %s to %s', (from, to) => {
    expect(isAllowed(from, to)).toBe(false)
  })

  test('name files that exist, with their extension', () => {
    expect(ours.filter(({ target }) => !existsSync(join(root, target)) || !/\.(ts|json|mjs)$/.test(target))).toEqual([])
  })

  test('keep the direction: platform ← engine ← components ← pipelines', () => {
    const wrong = ours.filter(({ path, target }) => !isAllowed(folderOf(path), folderOf(target)))
    expect(wrong.map(({ path, target }) => `${path} imports ${target}`)).toEqual([])
  })

  test('go in no circle, not even for types', () => {
    const code = ours.filter(({ path }) => folderOf(path) !== 'test')
    const edges = Map.groupBy(code, ({ path }) => path)
    expect(circlesOf(new Map([...edges].map(([path, all]) => [path, all.map(({ target }) => target)])))).toEqual([])
  })

  test('leave the parts of a component to that component', () => {
    const wrong = ours.filter(({ path, target }) => {
      const [folder, part, ...rest] = target.split('/')
      if (rest.length === 0 || !componentFolders.includes(folder!) || folderOf(path) !== folder) return false
      const owner = `${folder}/${part}`
      return existsSync(join(root, `${owner}.ts`)) && path !== `${owner}.ts` && !path.startsWith(`${owner}/`)
    })
    expect(wrong.map(({ path, target }) => `${path} imports ${target}`)).toEqual([])
  })
})

function isAllowed(from: string, to: string): boolean {
  if (from === to || from === 'test' || from === '.') return true
  return from === 'bench' ? to !== 'test' : (mayImport[from]?.includes(to) ?? false)
}

describe('components', () => {
  const components = componentFolders
    .filter(folder => existsSync(join(root, folder, 'index.ts')))
    .flatMap(folder =>
      readdirSync(join(root, folder))
        .filter(name => name.endsWith('.ts') && name !== 'index.ts')
        .map(name => ({ folder, name: name.slice(0, -'.ts'.length) })),
    )

  test.each(components)('$folder/$name is registered and has a test of its name', ({ folder, name }) => {
    expect(importsOf(`${folder}/index.ts`)).toContain(`./${name}.ts`)
    expect(files).toContain(`test/${folder}/${name}.test.ts`)
  })

  test.each([...new Set(components.map(({ folder }) => folder))])('%s/index.ts lists in alphabetical order', folder => {
    const listed = importsOf(`${folder}/index.ts`).filter(name => name.startsWith('./'))
    expect(listed).toEqual(listed.toSorted())
  })
})

describe('names and sizes', () => {
  test('files and folders of code are in kebab-case', () => {
    const odd = sources.filter(
      path => !/^(\.?[a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.(test|config))?\.ts$/.test(path),
    )
    expect(odd).toEqual([])
  })

  test(`no file has more than ${FILE_LINES_MAX} lines`, () => {
    const lengths = Object.fromEntries(sources.map(path => [path, text(path).split('\n').length - 1]))
    expect(above(lengths, FILE_LINES_MAX, path => toleratedFiles[path] ?? 0)).toEqual([])
  })

  test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
    const all = sources.flatMap(path => functionsIn(text(path)).map(span => ({ path, ...span })))
    expect(all.length).toBeGreaterThan(500)
    const lengths = Object.fromEntries(all.map(({ path, firstLine, lines }) => [`${path}:${firstLine}`, lines]))
    const tolerated = (name: string): number => toleratedFunctions[name.slice(0, name.indexOf(':'))] ?? 0
    expect(above(lengths, FUNCTION_LINES_MAX, tolerated)).toEqual([])
  })

  test('what is tolerated still needs to be', () => {
    const short = Object.keys(toleratedFiles).filter(path => text(path).split('\n').length - 1 <= FILE_LINES_MAX)
    const split = Object.keys(toleratedFunctions).filter(path =>
      functionsIn(text(path)).every(({ lines }) => lines <= FUNCTION_LINES_MAX),
    )
    expect([...short, ...split]).toEqual([])
  })
})

function above(sizes: Readonly<Record<string, number>>, max: number, tolerated: (name: string) => number): string[] {
  return Object.entries(sizes).flatMap(([name, size]) =>
    size > Math.max(max, tolerated(name)) ? [`${name} has ${size} lines`] : [],
  )
}

interface Ban {
  readonly what: RegExp
  readonly why: string
  /** What it must find. */
  readonly example: string
  /** Folders it holds in. */
  readonly folders: readonly string[]
  /** Files that have a reason. */
  readonly except?: readonly string[]
}

const moving = ['platform', 'engine', ...componentFolders]
const bans: readonly Ban[] = [
  {
    what: /\bconsole\.\w+\(/,
    why: 'stdout belongs to events, notices to the log',
    example: 'if (a) console.log(b)',
    folders: moving,
  },
  {
    what: /\bprocess\.exit\(/,
    why: 'only the composition ends the process',
    example: 'process.exit(1)',
    folders: moving,
  },
  {
    what: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
    why: 'time comes from Deps.clock, so that tests own it',
    example: 'const t = new Date()',
    folders: moving,
    except: ['platform/clock.ts'],
  },
  {
    what: /\bMath\.random\(/,
    why: 'chance is handed in, so that a run can be repeated',
    example: 'wait(Math.random() * 5)',
    folders: moving,
  },
  {
    what: /(?<![\w.])set(Timeout|Interval)\(/,
    why: 'waiting goes through Deps.clock',
    example: '  setTimeout(done, 5)',
    folders: moving,
    except: ['platform/opensearch.ts'], // The time-out of one request on a socket.
  },
  {
    what: /\b(?!random)\w+Sync\(/,
    why: 'nothing waits for the disk where events pass',
    example: 'return readFileSync(path)',
    folders: ['engine', ...componentFolders],
    except: [
      'sinks/ranges/files.ts', // How much is free, asked in the turn in which it is used.
      'sources/http/server.ts', // Certificates, read once at the start.
      'sources/topic/mark.ts', // A write to the page cache that must come before the records it speaks of.
      'sources/topic/poison.ts', // Once a death, before anything is read.
    ],
  },
  {
    what: /\bas any\b|:\s*any\b|<any>/,
    why: 'unknown says the same and is checked',
    example: 'const a: any = b',
    folders: [...moving, 'pipelines', 'bench', 'test'],
  },
]

describe('banned:', () => {
  test.each(bans)('$what finds what it is for', ({ what, example }) => {
    expect(what.test(codeOnly(example))).toBe(true)
  })

  test.each(bans)('$what, because $why', ({ what, folders, except = [] }) => {
    const found = sources
      .filter(path => folders.includes(folderOf(path)) && !except.includes(path))
      .flatMap(path =>
        codeOnly(text(path))
          .split('\n')
          .flatMap((line, index) => (what.test(line) ? [`${path}:${index + 1}`] : [])),
      )
    expect(found).toEqual([])
  })

  test('exceptions are for files that still need them', () => {
    const idle = bans.flatMap(({ what, except = [] }) => except.filter(path => !what.test(codeOnly(text(path)))))
    expect(idle).toEqual([])
  })
})

test('what is missing is in an issue, not in the code', () => {
  const left = /\bTO[D]O\b|\bFIX[M]E\b/
  expect(sources.filter(path => left.test(text(path)))).toEqual([])
})

test('no text names a path of somebody’s machine or a host that only some can reach', () => {
  const places = ['work', 'home', 'root', 'Users', 'mnt'].map(name => `/${name}/`).join('|')
  const foreign = new RegExp(`(^|[\\s'"\`(=:])(${places})\\w|\\.\\./shared/|registry\\.(?!npmjs\\.org)[\\w-]+\\.\\w+`, 'm') // biome-ignore format: one pattern
  const readable = files.filter(path => /\.(ts|mjs|json|ya?ml|md|sh|npmrc|editorconfig)$|^\.ci\/|NOTICE$/.test(path))
  expect(readable.length).toBeGreaterThan(100)
  const found = readable.flatMap(path => {
    // What rules of others look for is theirs.
    const exempt = path === 'test/tidy.test.ts' || path.startsWith('detections/rules/sigmahq/')
    const hit = exempt ? undefined : foreign.exec(text(path))
    return hit ? [`${path}: ${hit[0].trim()}`] : []
  })
  expect(found).toEqual([])
})

describe('errors', () => {
  const page = text('docs/errors.md')
  const sections = new Map([...page.matchAll(/^### (\w+)\n\n([^#]+)/gm)].map(([, code, body]) => [code!, body!.trim()]))

  test('every code has its paragraph in docs/errors.md, and nothing else has', () => {
    expect([...sections.keys()].toSorted()).toEqual(Object.keys(errorCodes).toSorted())
  })

  test.each(Object.keys(errorCodes))('%s: its paragraph says what happened and what to do', code => {
    const section = sections.get(code)
    expect(section?.split(/[.:;]\s/).length).toBeGreaterThan(1)
    expect(section?.length).toBeGreaterThan(120)
  })

  test('every code is raised or recognised somewhere', () => {
    const all = sources.filter(path => !['test', 'docs'].includes(folderOf(path)) && path !== 'platform/errors.ts')
    const used = all.map(text).join('\n')
    expect(Object.keys(errorCodes).filter(code => !used.includes(`'${code}'`))).toEqual([])
  })
})

describe('packages', () => {
  const manifest = JSON.parse(text('package.json')) as Record<string, Record<string, string>>
  const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, Record<string, unknown>> }

  test('every version is exact', () => {
    const ranges = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides']
      .flatMap(group => Object.entries(manifest[group] ?? {}))
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    expect(ranges).toEqual([])
  })

  test('the lock file pins every package by its content, and no registry', () => {
    const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
    expect(packages.length).toBeGreaterThan(50)
    expect(packages.filter(([, entry]) => 'resolved' in entry).map(([path]) => path)).toEqual([])
    expect(packages.filter(([, entry]) => !('integrity' in entry)).map(([path]) => path)).toEqual([])
  })

  test('the lock file belongs to the manifest', () => {
    const { dependencies, devDependencies, optionalDependencies } = lock.packages['']!
    expect({ dependencies, devDependencies, optionalDependencies }).toEqual({
      dependencies: manifest['dependencies'],
      devDependencies: manifest['devDependencies'],
      optionalDependencies: manifest['optionalDependencies'],
    })
  })
})

test('tests lie in test/', () => {
  expect(files.filter(path => path.endsWith('.test.ts') && !path.startsWith('test/'))).toEqual([])
})
