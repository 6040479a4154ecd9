import { expect, test, vi } from "vitest";
import { sink, source } from "../../src/method.ts";
import { Mux } from "../../src/mux.ts";
import type { State } from "../../src/session.ts";
import { isPattern } from "./bytes.ts";
import { Server } from "./server.ts";

const Read = source<number, Uint8Array>("read");
const Total = sink<void, number, number>("total", { params: { form: "none" } });

test("calls and streams both ways go on over a connection that is cut again and again", async () => {
  const services = new Mux();
  services.handle("square", (n: number) => n * n);
  const server = new Server();
  const states: State[] = [];
  const peer = await server.connect(services, { onState: (state) => states.push(state) });
  await peer.send("add", 1, 1);

  let done = false;
  const down = (async () => {
    let at = 0;
    for await (const chunk of Read.call(peer, 20_000_000)) {
      if (!isPattern(chunk, chunk.length, at)) throw new Error(`wrong bytes at ${at}`);
      at += chunk.length;
    }
    return at;
  })();
  const items = 50_000;
  const up = Total.call(
    peer,
    undefined,
    (async function* () {
      for (let i = 0; i < items; i++) yield i;
    })(),
  );
  const once = (async () => {
    const word = crypto.randomUUID();
    for (let i = 1; i <= 200; i++) expect(await peer.send("once", word)).toBe(i);
    for (let i = 1; i <= 20; i++) expect(await peer.send("askBack", i)).toBe((i * (i + 1) * (2 * i + 1)) / 6);
  })();
  const all = Promise.all([down, up, once]).finally(() => {
    done = true;
  });
  let cuts = 0;
  while (!done && cuts < 10) {
    await peer.send("nothing"); // the connection stands again
    await server.cut();
    cuts++;
  }
  expect(await all).toEqual([20_000_000, (items * (items - 1)) / 2, undefined]);
  expect(cuts).toBeGreaterThan(2);
  expect(await server.cut()).toBe(cuts + 1);
  await peer.send("nothing");
  expect(states.filter(({ phase }) => phase === "resumed").length).toBe(cuts + 1);
  expect(states.some(({ phase }) => phase === "over")).toBe(false);
});

test("a server that was started anew settles what was open, and the peer goes on", async () => {
  const server = new Server();
  const states: State[] = [];
  const peer = await server.connect(undefined, { onState: (state) => states.push(state) });
  const hang = peer.send("hang", crypto.randomUUID()).catch((error) => error);
  await peer.send("nothing");
  await server.restart();
  expect(await hang).toMatchObject({ code: "unavailable", executed: "maybe" });
  await vi.waitFor(async () => expect(await peer.send("add", 1, 2)).toBe(3), 10_000);
  expect(peer.stats.redials).toBeGreaterThan(0);
  expect(states.at(-1)?.phase).toBe("connected");
});
