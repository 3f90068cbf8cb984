// The little of tar-stream that the stand-in image needs; the package has no types of its own.
declare module "tar-stream" {
  export interface Entry {
    readonly name: string;
    readonly type?: "file" | "directory";
    readonly mode?: number;
  }
  export interface Pack extends NodeJS.ReadableStream {
    entry(entry: Entry, content?: Buffer | string): unknown;
    finalize(): void;
  }
  export function pack(): Pack;
}
