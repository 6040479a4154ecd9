import { failure } from "./error.ts";
import type { Peer } from "./peer.ts";

/** What a file was generated from. */
export interface Expected {
  /** The hash of a hello that says that all is the same. */
  readonly schema: string;
  /** Of each method its name and kind, and the hashes of args, in, result and out; "" for one that it has not. */
  readonly methods: readonly (readonly [
    name: string,
    kind: string,
    args: string,
    input: string,
    result: string,
    out: string,
  ])[];
}

/** One thing in which the other side differs: it lacks the method, has one of another kind, or other types travel. */
export interface Difference {
  readonly method: string;
  readonly part: "method" | "kind" | "args" | "in" | "result" | "out";
}

type Info = { readonly [part: string]: { readonly hash?: unknown } | undefined } & { readonly kind?: unknown };

const parts = ["args", "in", "result", "out"] as const;

/**
 * Tells in what the other side differs from what is expected, in the order of the methods there; others that it
 * serves do not matter. If its hello says that all is the same, that is believed; else "rpc.methods" is called, whose
 * error this throws. A type without a hash, as a side in TypeScript describes all, differs.
 */
export const compare = async (peer: Peer, { schema, methods }: Expected): Promise<Difference[]> => {
  await peer.ready;
  if (peer.schema === schema) return [];
  const answer = await peer.send("rpc.methods");
  let have: Map<unknown, Info>;
  try {
    have = new Map((answer as { methods: (Info & { name: unknown })[] }).methods.map((m) => [m.name, m]));
  } catch (cause) {
    throw failure("data_loss", "yes", "rpc.methods makes no sense", cause);
  }
  return methods.flatMap(([method, kind, ...hashes]): Difference[] => {
    const info = have.get(method);
    if (!info) return [{ method, part: "method" }];
    if (info.kind !== kind) return [{ method, part: "kind" }];
    return parts.filter((part, i) => (info[part]?.hash ?? "") !== hashes[i]).map((part) => ({ method, part }));
  });
};
