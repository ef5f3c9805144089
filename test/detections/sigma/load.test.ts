import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { loadRules, revisionOfRules } from '../../../detections/sigma/load.ts'
import { temporary } from '../../support/pipelines.ts'

let folder: string
beforeEach(() => {
  folder = temporary()
})

test('rules make the same revision wherever their folder is, and another with any byte, name or order', async () => {
  const folders = ['a', 'b'].map(name => join(folder, name))
  for (const each of folders) {
    mkdirSync(join(each, 'below'), { recursive: true })
    writeFileSync(join(each, 'below', 'x.yml'), 'x')
    writeFileSync(join(each, 'y.yaml'), 'y')
  }
  const [a = '', b = ''] = folders
  const before = await revisionOfRules([a])
  expect(await revisionOfRules([b])).toBe(before)
  writeFileSync(join(b, 'no-rule.txt'), 'z')
  expect(await revisionOfRules([b])).toBe(before)
  writeFileSync(join(b, 'y.yaml'), 'y ')
  expect(await revisionOfRules([b])).not.toBe(before)
  writeFileSync(join(b, 'y.yaml'), 'y')
  renameSync(join(b, 'below', 'x.yml'), join(b, 'below', 'z.yml'))
  expect(await revisionOfRules([b])).not.toBe(before)
})

test('files larger than a rule may be are read only as far as that shows', async () => {
  mkdirSync(join(folder, 'rules'))
  writeFileSync(join(folder, 'rules', 'large.yml'), Buffer.alloc(4 * 1024 * 1024, 'a'))
  const first = await revisionOfRules([join(folder, 'rules')])
  writeFileSync(join(folder, 'rules', 'large.yml'), Buffer.alloc(5 * 1024 * 1024, 'a'))
  expect(await revisionOfRules([join(folder, 'rules')])).toBe(first)
  expect((await loadRules([join(folder, 'rules')])).refused).toMatchObject([{ reason: 'unreadable' }])
})
