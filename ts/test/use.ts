// How a program uses what is generated, and what must not compile.
import type { Peer, Stream } from "../src/index.ts";
import {
  expect,
  GetBlob,
  getBlob,
  getClosure,
  getRef,
  getStatus,
  listRefs,
  putClosure,
  putObjects,
  type Ref,
  setRef,
} from "./generated/chum.ts";

export const use = async (peer: Peer): Promise<number> => {
  const ref: Ref = await getRef(peer, "notes", { timeout: 5_000 });
  const past: string[] | undefined = ref.past;
  await setRef(peer, { name: "notes", root: ref.root, changed: ref.changed });
  const streams: Stream<Uint8Array> = getBlob(peer, { link: ref.root, offset: 1 });
  const bytes: ReadableStream<Uint8Array> = GetBlob.bytes(peer, { link: ref.root });
  for await (const batch of getClosure(peer, { roots: [ref.root] }))
    await putObjects(peer, { sizes: batch.sizes, data: batch.data });
  for await (const { root } of listRefs(peer)) if (root.kind === "blob") break;
  await putClosure(peer, ref, [{ sizes: [1], data: new Uint8Array(1) }], { signal: AbortSignal.timeout(10) });
  for (const { method, part } of await expect(peer)) throw new Error(`${method}: ${part}`);
  const { connection } = await getStatus(peer);

  // @ts-expect-error a name is a string
  getRef(peer, 1);
  // @ts-expect-error a kind that there is not
  setRef(peer, { ...ref, root: { ...ref.root, kind: "link" } });
  // @ts-expect-error a member is missing
  setRef(peer, { name: "notes" });
  // @ts-expect-error a member too many
  getClosure(peer, { roots: [], wants: [] });
  // @ts-expect-error an optional member is not undefined
  getClosure(peer, { roots: [], have: undefined });
  // @ts-expect-error a batch is fed, not bytes
  putClosure(peer, ref, [new Uint8Array(1)]);
  // @ts-expect-error the result is no string
  const text: string = await getRef(peer, "notes");

  await streams.return?.();
  await bytes.cancel();
  return connection.out.started + (past?.length ?? 0) + text.length;
};
