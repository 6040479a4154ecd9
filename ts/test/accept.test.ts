import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { WebSocketServer } from "ws";
import { accept } from "../src/accept.ts";
import { connect } from "../src/connect.ts";
import { method, source } from "../src/method.ts";
import { Mux } from "../src/mux.ts";
import type { Peer } from "../src/peer.ts";

const Greet = method<string, string>("greet");
const Count = source<number, number>("count");

/** A server in Node, as a program of a user's has it. */
async function serve() {
  const services = new Mux();
  Greet.handle(services, async (word, { peer }) => `${word}, ${await peer.send("name")}!`);
  Count.handle(services, async function* (n) {
    for (let i = 0; i < n; i++) yield i;
  });
  const peers: Peer[] = [];
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => peers.push(accept(socket, services, { onError: () => {} })));
  await once(server, "listening");
  onTestFinished(async () => {
    for (const peer of peers) peer.close();
    await Promise.all(peers.map((peer) => peer.done));
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, peers, server };
}

test.each([false, true])("serves a client of ours, noResume: %s", async (noResume) => {
  const { url, peers } = await serve();
  const services = new Mux();
  services.handle("name", () => "Ann");
  const peer = await connect(url, services, { noResume, agent: "ann", connectTimeout: Infinity });
  expect(await Greet.call(peer, "Hello")).toBe("Hello, Ann!");
  let sum = 0;
  for await (const n of Count.call(peer, 100)) sum += n;
  expect(sum).toBe(4950);
  expect(peers[0]!.agent).toBe("ann");
  await peer.shutdown();
  await peers[0]!.done;
  expect(peers[0]!.error).toBeUndefined();
});

test("serves a Go client, which would have a session", async () => {
  const { url } = await serve();
  const answer = await fetch(`http://${inject("server")}/visit?url=${url}`, { method: "POST" });
  expect(await answer.text()).toBe("Hello, Go! 4950 <nil>\n");
});

test("a client goes on with a new peer when it is cut, since sessions are not kept", async () => {
  const { url, peers, server } = await serve();
  const services = new Mux();
  services.handle("name", () => "Ann");
  const peer = await connect(url, services);
  for (const socket of server.clients) socket.terminate();
  await peers[0]!.done;
  expect(peers[0]!.error).toMatchObject({ code: "unavailable" });
  await vi.waitUntil(() => peer.stats.redials === 1);
  expect(await Greet.call(peer, "Hello")).toBe("Hello, Ann!");
  expect(peers.length).toBe(2);
  peer.close();
});

test("refuses to resume a session it cannot know", async () => {
  const { url, peers } = await serve();
  const socket = new WebSocket(url, "chum.1");
  socket.binaryType = "arraybuffer";
  await once(socket, "open");
  const said = JSON.stringify({ id: "i", try: 1, received: 0, proof: "p" });
  socket.send(Uint8Array.of(0, 3, ...new TextEncoder().encode(said)));
  const [{ data }] = await once(socket, "message");
  const answer = new Uint8Array(data);
  expect([answer[0], answer[1], JSON.parse(new TextDecoder().decode(answer.subarray(2)))]).toEqual([
    0,
    5,
    { reason: "no sessions are kept here" },
  ]);
  await peers[0]!.done;
});

test("connecting ends when it has taken too long, or is no longer wanted", async () => {
  const silent = new WebSocketServer({ host: "127.0.0.1", port: 0 }); // takes WebSockets, and says nothing
  await once(silent, "listening");
  onTestFinished(() => {
    for (const socket of silent.clients) socket.terminate();
    silent.close();
  });
  const url = `ws://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await expect(connect(url, undefined, { connectTimeout: 50 })).rejects.toThrow("no answer within 0.05 s");
  const stop = new AbortController();
  const connecting = expect(connect(url, undefined, { signal: stop.signal })).rejects.toThrow("enough");
  await once(silent, "connection");
  stop.abort(new Error("enough"));
  await connecting;
  await expect(connect(url, undefined, { signal: stop.signal })).rejects.toThrow("enough");
});
