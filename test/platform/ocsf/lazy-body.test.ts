import { describe, expect, it } from 'vitest'
import { DocumentReader } from '../../../platform/json/document.ts'
import { literal } from '../../../platform/json/literal.ts'
import type { OcsfEvent } from '../../../platform/ocsf/event.ts'
import { BodyLayout, type BodySource, LazyBody } from '../../../platform/ocsf/lazy-body.ts'

/** `{"time":…,"cloud":…}` of a record whose members have the names of the fields; counts what is made. */
function lazyBody(record: object): { body: OcsfEvent; lazy: LazyBody; reads: string[] } {
  const reads: string[] = []
  const part = (field: 'cloud' | 'unmapped') => ({
    fields: [field],
    write({ document }: BodySource, out: Parameters<BodyLayout<BodySource>['parts'][0]['write']>[1]) {
      reads.push(`write ${field}`)
      const entry = document.member(document.root, `"${field}"`)
      if (entry === 0) return
      out.literal(literal(`,"${field}":`))
      out.part(document, document.from(entry), document.to(entry))
    },
  })
  const layout = new BodyLayout<BodySource>([
    {
      fields: ['time', 'severity'],
      write: (_source, out) => out.literal(literal(',"time":1,"severity":"Low"')),
      read() {
        reads.push('read time')
        return Object.freeze({ time: 1, severity: 'Low' })
      },
    },
    part('cloud'),
    part('unmapped'),
  ])
  const document = new DocumentReader().read(Buffer.from(JSON.stringify(record)))
  if (typeof document === 'string') throw new Error(document)
  const lazy = new LazyBody({ document }, layout)
  return { body: lazy.proxy(), lazy, reads }
}

const record = { cloud: { provider: 'AWS', account: { uid: '1' } }, unmapped: { list: [{ a: 1 }] } }
const whole = { time: 1, severity: 'Low', ...record }

describe('a lazy body', () => {
  it('is to every reader the plain object it stands for', () => {
    const { body } = lazyBody(record)
    expect(Object.keys(body)).toEqual(Object.keys(whole))
    expect({ ...body }).toEqual(whole)
    expect(JSON.parse(JSON.stringify(body))).toEqual(whole)
    expect('cloud' in body).toBe(true)
    expect('constructor' in body).toBe('constructor' in {})
    expect('message' in body).toBe(false)
    expect(String(body)).toBe('[object Object]')
    expect(Object.entries(body)).toEqual(Object.entries(whole))
  })

  it('makes a field once, and only when somebody looks at it', () => {
    const { body, reads } = lazyBody(record)
    expect(reads).toEqual([])
    expect([body.severity, body.time, body.cloud?.provider, body.cloud?.provider]).toEqual(['Low', 1, 'AWS', 'AWS'])
    expect(reads).toEqual(['read time', 'write cloud'])
  })

  it('encodes from the document what was only read, and from the new value what was set', () => {
    const { body, lazy, reads } = lazyBody(record)
    expect(body.cloud?.provider).toBe('AWS')
    body.severity = 'High'
    body.unmapped = { mine: true }
    reads.length = 0
    expect(JSON.parse(lazy.encode().toString())).toEqual({ ...whole, severity: 'High', unmapped: { mine: true } })
    expect(reads).toEqual(['write cloud'])
  })

  it('gives values that nobody can change in place, however deep', () => {
    const { body, lazy } = lazyBody(record)
    expect(() => {
      body.cloud!.provider = 'other'
    }).toThrow(TypeError)
    expect(() => (body.unmapped!['list'] as object[]).push({})).toThrow(TypeError)
    expect(() => {
      ;(body.unmapped!['list'] as { a: number }[])[0]!.a = 2
    }).toThrow(TypeError)
    expect(JSON.parse(lazy.encode().toString())).toEqual(whole)
  })

  it('takes fields of no part, deletes fields, and refuses what is no field', () => {
    const { body, lazy } = lazyBody(record)
    body.count = 3
    delete body.time
    delete body.cloud
    expect(Object.keys(body)).toEqual(['severity', 'unmapped', 'count'])
    expect(JSON.parse(lazy.encode().toString())).toEqual({ severity: 'Low', unmapped: record.unmapped, count: 3 })
    expect(Reflect.set(body, '__proto__', { polluted: true })).toBe(false)
    expect(Reflect.set(body, Symbol('own'), 1)).toBe(false)
    expect(Reflect.defineProperty(body, 'message', { get: () => 'x' })).toBe(false)
    expect((body as Record<string, unknown>)['polluted']).toBeUndefined()
    expect(Object.keys(body)).toEqual(['severity', 'unmapped', 'count'])
  })

  it('shares nothing it was given: setting one field of a part changes no other body', () => {
    const { body } = lazyBody(record)
    const { severity } = body
    body.time = 2
    expect([body.time, body.severity, severity]).toEqual([2, 'Low', 'Low'])
  })

  it('forgets for a change of the document what was read, and tells what came from elsewhere', () => {
    const { body, lazy } = lazyBody(record)
    expect(body.cloud?.provider).toBe('AWS')
    expect(lazy.forget()).toBeUndefined()
    body.severity = 'High'
    body.count = 1
    const { document } = lazy.source
    const provider = document.member(document.member(document.root, '"cloud"'), '"provider"')
    document.replace([{ start: document.from(provider), end: document.to(provider), json: '"[redacted]"' }])
    expect(lazy.forget()).toEqual({ time: 1, severity: 'High', count: 1 })
    expect(body.cloud).toEqual({ provider: '[redacted]', account: { uid: '1' } })
    expect(JSON.parse(lazy.encode().toString()).cloud).toEqual(body.cloud)
  })
})
