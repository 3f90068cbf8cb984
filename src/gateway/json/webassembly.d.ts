// What is used of WebAssembly: TypeScript declares it for browsers only, along with everything else they have.
declare namespace WebAssembly {
  const Module: new (bytes: Uint8Array) => object;
  const Instance: new (module: object, imports: object) => { readonly exports: object };
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
}
