import { createHmac } from "node:crypto";
import { vi } from "vitest";

/** Replaces what sessions need of WebCrypto by what is done at once: threads do not follow fake timers. */
export function fakeCrypto(): void {
  vi.spyOn(crypto.subtle, "importKey").mockImplementation(
    (async (_format: string, secret: Uint8Array) => secret) as never,
  );
  vi.spyOn(crypto.subtle, "sign").mockImplementation((async (_name: string, key: Uint8Array, data: Uint8Array) =>
    createHmac("sha256", key).update(data).digest()) as never);
}
