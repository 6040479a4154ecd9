import { expect, test } from "vitest";
import { CallError } from "../../src/error.ts";
import { method } from "../../src/method.ts";
import { Mux } from "../../src/mux.ts";
import { isPattern, pattern } from "./bytes.ts";
import { Server } from "./server.ts";

interface Everything {
  text: string;
  int: number;
  large: string;
  float: number;
  flag: boolean;
  bytes: string;
  list: string[];
  map: Record<string, number>;
  time: string;
  next?: Everything;
}

const Echo = method<Everything, Everything>("echo", { params: { form: "json" } });
const EchoPart = method<{ name: string; data: Uint8Array }, { name: string; data: Uint8Array }>("echoPart", {
  params: { form: "pair", positions: ["name", "data"] },
  resultRaw: "data",
});

test("values of each sort come back", async () => {
  const peer = await new Server().connect();
  expect(peer.agent).toBe("chum-go");
  expect(await peer.send("add", 2, 3)).toBe(5);
  expect(await peer.send("echoText", "ein Füchslein 🦊 \u2028")).toBe("ein Füchslein 🦊 \u2028");
  expect(await peer.send("nothing")).toBeFalsy();
  const one: Everything = {
    text: 'a "quoted" \u0000 text',
    int: -(2 ** 31),
    large: "9223372036854775807",
    float: 0.1,
    flag: true,
    bytes: btoa("bytes"),
    list: ["a", ""],
    map: { toString: 2, "": 65535 } as never,
    time: "2026-11-27T21:11:00.123456789Z",
  };
  const value = { ...one, next: one };
  expect(await Echo.call(peer, value)).toEqual(value);
});

test.each([0, 1, 8191, 8192, 61_440, 1_000_000, 8 << 20])("%i bytes come back raw", async (size) => {
  const peer = await new Server().connect();
  const data = pattern(size);
  const got = (await peer.send("echoBytes", data)) ?? new Uint8Array(); // bytes of which there are none are nothing
  expect(isPattern(got as Uint8Array, size)).toBe(true);
  if (size === 8 << 20) return; // with a name beside them it is too long
  const part = await EchoPart.call(peer, { name: "n", data });
  expect([part.name, isPattern(part.data, size)]).toEqual(["n", true]);
});

test("what is too long is refused, and the connection goes on", async () => {
  const peer = await new Server().connect();
  const error = await peer.send("echoBytes", new Uint8Array((8 << 20) + 1)).catch((error) => error);
  expect(error).toMatchObject({ code: "resource_exhausted", executed: "no" });
  expect(await peer.send("add", 1, 1)).toBe(2);
});

test("a thousand calls at once, mixed with long ones", async () => {
  const peer = await new Server().connect();
  const long = new Uint8Array(500_000).fill(7);
  const answers = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => (i % 100 ? peer.send("add", i, 1) : peer.send("echoBytes", long))),
  );
  for (const [i, answer] of answers.entries()) {
    if (i % 100) expect(answer).toBe(i + 1);
    else expect((answer as Uint8Array).length).toBe(long.length);
  }
  expect(peer.stats.out).toMatchObject({ open: 0, started: 1000, succeeded: 1000 });
});

test("the server calls back while it serves", async () => {
  const services = new Mux();
  services.handle("square", (n: number) => n * n);
  const peer = await new Server().connect(services);
  expect(await peer.send("askBack", 500)).toBe((500 * 501 * 1001) / 6);
});

const unexpected = (answer: unknown): never => {
  throw new Error(`an answer came: ${answer}`);
};

test("errors say what, whether it ran, and carry data", async () => {
  const errors: unknown[] = [];
  const services = new Mux();
  services.handle("square", (n: number) => {
    if (n === 3) throw new Error("a secret of the client");
    if (n === 2) throw new CallError("out_of_range", "two is too many", { limit: 1 });
    return n;
  });
  const peer = await new Server().connect(services, { onError: (error) => errors.push(error) });
  await expect(peer.send("fail", { code: "not_found", message: "no such thing", data: "x" })).rejects.toMatchObject({
    code: "not_found",
    message: expect.stringContaining("no such thing"),
    executed: "yes",
    data: "x",
  });
  await expect(peer.send("nobody")).rejects.toMatchObject({ code: "unimplemented", executed: "no" });
  await expect(peer.send("constructor")).rejects.toMatchObject({ code: "unimplemented", executed: "no" });
  await expect(peer.send("add", "x", 1)).rejects.toMatchObject({ code: "invalid_argument", executed: "no" });
  const panicked: CallError = await peer.send("panic").then(unexpected, (error) => error);
  expect(panicked).toMatchObject({ code: "internal", executed: "yes" });
  expect(panicked.message).not.toContain("secret");
  const hidden: CallError = await peer.send("askBack", 3).then(unexpected, (error) => error);
  expect(hidden.message).not.toContain("secret");
  expect(errors.map(String)).toContain("Error: a secret of the client");
  await expect(peer.send("askBack", 2)).rejects.toMatchObject({ code: "out_of_range" });
});

const Hang = method<string, void>("hang");

test("a cancel reaches the handler", async () => {
  const peer = await new Server().connect();
  const name = crypto.randomUUID();
  const stop = new AbortController();
  const call = Hang.call(peer, name, { signal: stop.signal });
  const cancelled = peer.send("cancelled", name);
  stop.abort();
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
  expect(await cancelled).toBe(true);
});

test("a deadline holds on both sides", async () => {
  const peer = await new Server().connect();
  const name = crypto.randomUUID();
  await expect(Hang.call(peer, name, { timeout: 50 })).rejects.toMatchObject({ code: "deadline_exceeded" });
  expect(await peer.send("cancelled", name)).toBe(true);
});

test("metadata travels", async () => {
  const peer = await new Server().connect();
  const Metadata = method<string, string>("metadata");
  expect(await Metadata.call(peer, "traceparent", { metadata: { traceparent: "00-ä" } })).toBe("00-ä");
  expect(await Metadata.call(peer, "traceparent")).toBe("");
});

test("an orderly end lets open calls finish", async () => {
  const peer = await new Server().connect();
  const call = peer.send("echoText", "last");
  const end = peer.shutdown();
  expect(await call).toBe("last");
  await end;
  expect(peer.error).toBeUndefined();
  await expect(peer.send("add", 1, 1)).rejects.toMatchObject({ code: "unavailable", executed: "no" });
});

test("without sessions, too", async () => {
  const server = new Server();
  const peer = await server.connect(undefined, { noResume: true });
  expect(await peer.send("add", 2, 2)).toBe(4);
  const call = peer.send("hang", crypto.randomUUID()).catch((error) => error);
  await peer.send("add", 2, 2);
  await server.cut();
  expect(await call).toMatchObject({ code: "unavailable", executed: "maybe" });
  await peer.done;
});
