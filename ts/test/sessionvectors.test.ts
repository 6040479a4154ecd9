import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import type { Conn, Receiver } from "../src/conn.ts";
import { importKey, prove } from "../src/control.ts";
import { openSession } from "../src/session.ts";
import { readAck, text } from "./sessionserver.ts";

interface Step {
  from?: "client" | "server";
  message_hex?: string;
  text?: string;
  cut?: boolean;
}

interface Vectors {
  proofs: { secret: string; id: string; try: number; received: number; resume: string; resumed: string }[];
  conversations: { name: string; steps: Step[] }[];
}

const url = new URL("../../spec/vectors/session.json", import.meta.url);
const vectors: Vectors = JSON.parse(readFileSync(url, "utf8"));

test("there are vectors", () => {
  expect(vectors.proofs.length).toBeGreaterThan(3);
  expect(vectors.conversations.length).toBeGreaterThan(2);
});

test.each(vectors.proofs)("proof of try $try, received $received", async ({ secret, id, received, ...proof }) => {
  const key = importKey(secret);
  expect(await prove(key, "resume", id, proof.try, received)).toBe(proof.resume);
  expect(await prove(key, "resumed", id, proof.try, received)).toBe(proof.resumed);
});

// What a client of another kind says in a conversation; ours sends the same op, in its own words.
const strange = new Set(["open of another version", "the same resume"]);

const bytes = (step: Step): Uint8Array => Uint8Array.from(Buffer.from(step.message_hex ?? "", "hex"));
const isData = (message: Uint8Array): boolean => message[0] !== 0 || message[1] === 6;
const dataOf = (message: Uint8Array): Uint8Array => (message[0] === 0 ? readAck(message)[1] : message);

// The client's side is played by ours, the server's by the vector.
test.each(vectors.conversations)("conversation: $name", async ({ steps }) => {
  const sent: Uint8Array[] = []; // by our client, over all connections
  let link: Receiver | undefined;
  const dial = async (): Promise<Conn> => ({
    start: (to) => {
      link = to;
    },
    send: (message) => sent.push(message),
    close: () => {},
    buffered: 0,
  });
  const conn = await openSession(dial, new AbortController().signal);
  const got: Uint8Array[] = [];
  let ended = false;
  conn.start({
    message: (message) => got.push(message),
    closed: () => {
      ended = true;
    },
  });
  const expected: Uint8Array[] = [];
  for (const [i, step] of steps.entries()) {
    const message = bytes(step);
    if (step.cut) {
      link!.closed(new Error("cut"));
    } else if (step.from === "server") {
      // What a resume says was not received has not arrived.
      const cut = steps[i + 1]?.cut === true;
      if (cut && isData(message) && JSON.parse(text(bytes(steps[i + 2]!))).received === expected.length) continue;
      if (isData(message)) expected.push(dataOf(message));
      link!.message(message);
    } else {
      await vi.waitUntil(() => got.length === expected.length); // the check of a proof takes a moment
      if (isData(message)) conn.send(dataOf(message));
      else if (message[1] === 7) conn.close();
      const ours = await vi.waitUntil(() => sent.shift());
      if (strange.has(step.text ?? "")) expect(ours.subarray(0, 2)).toEqual(message.subarray(0, 2));
      else expect(Buffer.from(ours).toString("hex")).toBe(step.message_hex);
    }
  }
  expect(got).toEqual(expected);
  expect(sent).toEqual([]);
  const last = bytes(steps.at(-1)!);
  if (last[0] === 0 && (last[1] === 5 || last[1] === 7))
    await vi.waitUntil(() => ended); // refused, close
  else expect(ended).toBe(false);
  conn.close();
});
