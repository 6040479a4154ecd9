import { describe, expect, test } from "vitest";
import { readError } from "../src/error.ts";
import { CallError } from "../src/index.ts";
import { Raw, request, settle, textOf, utf8 } from "./raw.ts";
import { Count, Hi, Sum, services, Twice } from "./services.ts";
import { hex, vectors } from "./vectors.ts";

interface Outcome {
  id: number;
  code?: string;
  executed?: string;
}

interface Conversation {
  name: string;
  send_hex: string[];
  cut: boolean;
  strikes?: number;
  late?: number;
  results?: number;
  errors?: Outcome[];
  settled?: Outcome[];
}

const file = vectors<{
  hello_hex: string;
  serves: { method: string; mode: string }[];
  calls: { id: number; method: string }[];
  conversations: Conversation[];
}>("conversations.json");

const modes = ["call", "sink", "source", "duplex"];

/** Makes the four calls that the vectors speak of, and notes how they end. */
const fourCalls = (raw: Raw): Map<number, Outcome[]> => {
  const ends = new Map<number, Outcome[]>();
  const note = (id: number, promise: Promise<unknown>): void => {
    const end = (e?: unknown): void => {
      const list = ends.get(id) ?? [];
      ends.set(id, list);
      list.push(e instanceof CallError ? { id, code: e.code, executed: e.executed } : { id });
    };
    promise.then(() => end(), end);
  };
  const drain = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of stream);
  };
  const numbers = function* (n: number): Generator<number> {
    for (let i = 0; i < n; i++) yield i;
  };
  note(1, Hi.call(raw.peer, "x"));
  note(2, drain(Count.call(raw.peer, 3)));
  note(3, Sum.call(raw.peer, undefined, numbers(2048)));
  note(4, drain(Twice.call(raw.peer, undefined, [])));
  return ends;
};

test("there are conversations, and all that is served and called in them is here", () => {
  expect(file.conversations.length).toBeGreaterThan(50);
  const mux = services();
  for (const s of file.serves) expect(mux.services.get(s.method)?.mode, s.method).toBe(modes.indexOf(s.mode));
  expect(file.calls.map((c) => c.method)).toEqual(["hi", "count", "sum", "twice"]);
});

describe("a peer and a side that", () => {
  test.each(file.conversations)("sends $name", async (c) => {
    const raw = new Raw(services());
    raw.send(hex(file.hello_hex));
    await settle();
    const ends = fourCalls(raw);
    await settle();
    expect(raw.kind(2).map((f) => f.id)).toEqual([1, 2, 3, 4]);

    for (const m of c.send_hex) {
      raw.send(hex(m));
      await settle(5);
    }
    await settle();
    const before = [...ends.values()].flat();
    if (!c.cut) expect(before).toEqual(c.settled ?? []);
    expect(before).toEqual(expect.arrayContaining(c.settled ?? []));
    const { strikes, late } = raw.peer.stats;
    expect({ strikes, late }).toEqual({ strikes: c.strikes ?? 0, late: c.late ?? 0 });
    expect(raw.refusals()).toEqual(c.errors ?? []);
    expect(raw.kind(3).length).toBe(c.results ?? 0);

    if (c.cut) {
      await raw.peer.done;
      const [bye, ...more] = raw.kind(15);
      expect(more).toEqual([]);
      expect(readError(bye?.payload ?? utf8("{}")).code).toBe("invalid_argument");
      expect(raw.peer.error?.code).toBe("unavailable");
      expect(raw.errors.length).toBe(1);
      expect(raw.closed).toBe(true);
    } else {
      // It goes on: a call still works, if there is an id left for one.
      if (c.name !== "id 2^53-1") {
        raw.send(request(Number.MAX_SAFE_INTEGER, 0, "echo", utf8("still there"), 1));
        await settle();
        expect(textOf(raw.kind(3).at(-1)?.payload ?? utf8(""))).toBe("still there");
      }
      expect(raw.peer.error).toBeUndefined();
      expect(raw.errors).toEqual([]);
      raw.conn.close();
      await raw.peer.done;
    }
    await settle();
    const after = ends;
    for (let id = 1; id <= 4; id++) {
      const outcomes = after.get(id);
      expect(outcomes?.length, `call ${id} ends once`).toBe(1);
      if (!before.some((o) => o.id === id)) {
        expect(outcomes).toEqual([{ id, code: "unavailable", executed: "maybe" }]);
      }
    }
    const s = raw.peer.stats;
    expect([s.out.open, s.in.open, s.streams]).toEqual([0, 0, 0]);
  });
});
