/** What is used here of a global that the types of Node do not have. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }).WebAssembly

/** Instances of a module in base64, each with a memory of its own. `Exports` is what its source says. */
export function maker<Exports>(moduleBase64: string): () => Exports {
  const compiled = new Module(Buffer.from(moduleBase64, 'base64'))
  return () => new Instance(compiled).exports as Exports
}
