import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { WebSocket as NodeSocket, WebSocketServer } from "ws";
import type { Conn } from "../src/conn.ts";
import { dial, type SocketMaker, websocket } from "../src/ws.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** A server of the npm package `ws` on loopback, which gives each socket that comes. */
async function listen() {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    handleProtocols: (names) => [...names][0] ?? false,
  });
  await once(server, "listening");
  const sockets: NodeSocket[] = [];
  const protocols: string[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    protocols.push(socket.protocol);
  });
  open.push({
    close() {
      for (const socket of sockets) socket.terminate();
      server.close();
    },
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, sockets, protocols, socket: () => vi.waitUntil(() => sockets[0]) };
}

/** Starts a Conn and gathers what it tells. */
function gather(conn: Conn) {
  const got: Uint8Array[] = [];
  const ends: (Error | undefined)[] = [];
  conn.start({ message: (message) => got.push(message), closed: (error) => ends.push(error) });
  return { got, ends, end: () => vi.waitUntil(() => ends.length > 0) };
}

const signal = new AbortController().signal;

describe.each<[string, SocketMaker | undefined]>([
  ["Node's WebSocket", undefined],
  ["ws", NodeSocket],
])("%s", (_, make) => {
  test("carries messages both ways, and names the subprotocol", async () => {
    const { url, socket, protocols } = await listen();
    const conn = await dial(url, signal, make);
    const server = websocket(await socket());
    const there = gather(server);
    conn.send(Uint8Array.of(1, 2));
    conn.send(new Uint8Array(1 << 20).fill(7));
    server.send(Uint8Array.of(3));
    server.send(new Uint8Array(0));
    await vi.waitUntil(() => there.got.length === 2);
    const here = gather(conn); // what came before waits
    await vi.waitUntil(() => here.got.length === 2);
    expect(protocols).toEqual(["chum.1"]);
    expect(there.got).toEqual([Uint8Array.of(1, 2), new Uint8Array(1 << 20).fill(7)]);
    expect(here.got).toEqual([Uint8Array.of(3), new Uint8Array(0)]);
    await vi.waitUntil(() => conn.buffered === 0);
    conn.close();
    conn.send(Uint8Array.of(9));
    await Promise.all([here.end(), there.end()]);
    expect([here.ends, there.ends, there.got.length]).toEqual([[undefined], [undefined], 2]);
  });

  test.each<[string, (socket: NodeSocket) => void, number, RegExp]>([
    ["text", (socket) => socket.send("hello"), 4003, /^websocket: a text message came$/],
    [
      "a long message",
      (socket) => socket.send(new Uint8Array((1 << 20) + 1)),
      4009,
      /^websocket: a message is too long$/,
    ],
  ])("ends at %s", async (_, misbehave, want, message) => {
    const { url, socket } = await listen();
    const conn = await dial(url, signal, make);
    const { got, ends, end } = gather(conn);
    const server = await socket();
    const code = once(server, "close");
    misbehave(server);
    server.send(new Uint8Array(3)); // is not delivered
    await end();
    expect(got).toEqual([]);
    expect(ends[0]?.message).toMatch(message);
    expect((await code)[0]).toBe(want);
  });

  test.each<[string, (socket: NodeSocket) => void, RegExp | undefined]>([
    ["1000", (socket) => socket.close(1000), undefined],
    ["going away", (socket) => socket.close(1001), undefined],
    ["no code", (socket) => socket.close(), undefined],
    ["another code", (socket) => socket.close(4321, "enough"), /^websocket: enough$/],
    ["no reason", (socket) => socket.close(4321), /^websocket: closed with code 4321$/],
    ["a cut", (socket) => socket.terminate(), /^websocket: closed with code 1006$/],
  ])("tells of the end: %s", async (_, finish, message) => {
    const { url, socket } = await listen();
    const { ends, end } = gather(await dial(url, signal, make));
    finish(await socket());
    await end();
    if (message) expect(ends[0]?.message).toMatch(message);
    else expect(ends).toEqual([undefined]);
  });

  test("tells that its server is not there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    await expect(dial(`ws://127.0.0.1:${port}`, signal, make)).rejects.toThrow(/^websocket: cannot connect/);
    await expect(dial("nonsense", signal, make)).rejects.toThrow();
  });

  test("gives up connecting when the signal says so", async () => {
    const silent = createServer().listen(0, "127.0.0.1"); // never answers the handshake
    open.push(silent);
    await once(silent, "listening");
    const stop = new AbortController();
    const url = `ws://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const dialing = dial(url, stop.signal, make);
    const [socket] = await once(silent, "connection");
    stop.abort(new Error("enough"));
    await expect(dialing).rejects.toThrow("enough");
    socket.destroy();
    await expect(dial(url, stop.signal, make)).rejects.toThrow("enough");
  });
});

test("what is buffered is what the socket says", async () => {
  const { url, socket } = await listen();
  const conn = await dial(url, signal, NodeSocket);
  const server = await socket();
  server.pause(); // nobody reads
  gather(conn);
  for (let i = 0; i < 100; i++) conn.send(new Uint8Array(1 << 20));
  expect(conn.buffered).toBeGreaterThan(50 << 20);
  server.resume();
  await vi.waitUntil(() => conn.buffered === 0, 10_000);
  conn.close();
});
