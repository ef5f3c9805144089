import { expect, test } from 'vitest'
import { codeOnly, functionsIn } from './source-text.ts'

test('what stands in comments, strings, templates and patterns is blanked, code and lines are not', () => {
  const source = [
    `const a = 'x { // y' // console.log()`,
    `const b = \`{ $\{fn({ c: \`}\` })} /*\` /* { */`,
    `const d = /[/{'"]\\/{/.test(e) / 2`,
    'const f = g / h / i',
    `const k = 'don\\'t {'`,
  ].join('\n')
  const code = codeOnly(source)
  expect(code.split('\n').map(line => line.replace(/\s+/g, ' ').trim())).toEqual([
    'const a =',
    'const b = fn({ c: })',
    'const d = .test(e) / 2',
    'const f = g / h / i',
    'const k =',
  ])
  expect(code).toHaveLength(source.length)
})

test('functions of every form are found with their length; blocks and objects are not functions', () => {
  const source = `
export async function one(a: string): Promise<Map<string, number>> {
  if (a) {
    return new Map()
  }
}
class Two {
  #three(): void {
    for (const x of y) {
    }
  }

  get four(): number {
    return { a: 1 }.a
  }
}
const five = (a: () => void): void => {
  a()
}
describe('chapter', () => {
  describe.each(list.map(({ a }) => ({ a })))('$a', ({ a }) => {
    a()
  })
  test('six', async () => {
    await five(() => {
    })
  })
})
`
  const found = functionsIn(source).map(({ firstLine, lines }) => [firstLine, lines])
  expect(found.sort((a, b) => a[0]! - b[0]!)).toEqual([
    [2, 5],
    [8, 4],
    [13, 3],
    [17, 3],
    [24, 4],
    [25, 2],
  ])
})
