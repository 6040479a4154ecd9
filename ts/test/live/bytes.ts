/** Bytes as the server's "read" gives them: each its offset modulo 251. */
export function pattern(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = i % 251;
  return bytes;
}

/** Tells whether the bytes are such, from an offset on. */
export function isPattern(bytes: Uint8Array, size: number, offset = 0): boolean {
  return bytes.length === size && bytes.every((byte, i) => byte === (offset + i) % 251);
}
