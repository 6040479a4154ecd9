// The systems that have an end on Node. Each has dial(addr), which returns a function that calls a method with one
// parameter, and one that closes; those whose server is on Node, too, have serve(), which returns the address.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { Client, Server } from "rpc-websockets";
import { Server as SocketServer } from "socket.io";
import { io } from "socket.io-client";
import { WebSocket, WebSocketServer } from "ws";
import * as check from "../../ts/src/check.ts";
import { connect, method } from "../../ts/src/index.ts";

const handlerSleep = 10; // ms

class Service extends RpcTarget {
  bytes(p) { return p; }
  async sleep(p) { await sleep(handlerSleep); return p; }
  typed(r) { r.number++; return r; }
}

const methods = ["bytes", "sleep", "typed"];

/** Chum calls a Go server; the answers are checked as a generated file does it, or believed, as all others do. */
const chum = (shape, options) => ({
  async dial(addr) {
    const peer = await connect(addr, undefined, options);
    const typed = method("typed", shape);
    return { call: (_, p) => typed.call(peer, p), close: () => peer.close() };
  },
});

const record = check.object({
  kind: check.integer(-(2 ** 31), 2 ** 31 - 1), number: check.integer(-(2 ** 31), 2 ** 31 - 1),
  name: check.string(), typeUrl: check.string(), packed: check.boolean(), jsonName: check.string(), default: check.string(),
});

/**
 * What one writes by hand: ids, a Map of those who wait, JSON. The Go server sends each message back as it is, so no
 * number is added. Packed, all that is asked in one turn goes in one message.
 */
const byHand = (packed) => ({
  async dial(addr) {
    const ws = new WebSocket(addr);
    await new Promise((done, failed) => ws.on("open", done).on("error", failed));
    const waiting = new Map();
    let id = 0, queued = [];
    const answer = ({ id, p }) => {
      const done = waiting.get(id);
      waiting.delete(id);
      done(p);
    };
    ws.on("message", (data) => {
      const m = JSON.parse(data.toString());
      if (packed) m.forEach(answer);
      else answer(m);
    });
    const flush = () => {
      ws.send(JSON.stringify(queued));
      queued = [];
    };
    const send = (m) => {
      if (!packed) ws.send(JSON.stringify(m));
      else if (queued.push(m) === 1) queueMicrotask(flush);
    };
    const call = (_, p) => new Promise((done) => {
      waiting.set(++id, done);
      send({ id, p });
    });
    return { call, close: () => ws.close(), added: 0 };
  },
});

export const systems = {
  chum: chum({}, { WebSocket }),
  "chum, checked": chum({ result: record }, { WebSocket }),
  "chum, Node's own WebSocket": chum({}),
  "ws, JSON by hand": byHand(false),
  "ws, JSON by hand, packed": byHand(true),
  "rpc-websockets": {
    async serve() {
      const server = new Server({ host: "127.0.0.1", port: 0 });
      const service = new Service();
      for (const name of methods) server.register(name, ([p]) => service[name](p));
      await new Promise((done) => server.on("listening", done));
      return `ws://127.0.0.1:${server.wss.address().port}`;
    },
    async dial(addr) {
      const client = new Client(addr, { reconnect: false });
      await new Promise((done, failed) => client.on("open", done).on("error", failed));
      return { call: (method, p) => client.call(method, [p]), close: () => client.close() };
    },
  },
  capnweb: {
    async serve() {
      const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
      server.on("connection", (ws) => newWebSocketRpcSession(ws, new Service()));
      await new Promise((done) => server.on("listening", done));
      return `ws://127.0.0.1:${server.address().port}`;
    },
    async dial(addr) {
      const ws = new WebSocket(addr);
      await new Promise((done, failed) => ws.on("open", done).on("error", failed));
      const api = newWebSocketRpcSession(ws);
      return { call: (method, p) => api[method](p), close: () => ws.close() };
    },
  },
  "socket.io": {
    async serve() {
      const http = createServer();
      const service = new Service();
      new SocketServer(http, { transports: ["websocket"] }).on("connection", (socket) => {
        for (const name of methods) socket.on(name, async (p, answer) => answer(await service[name](p)));
      });
      await new Promise((done) => http.listen(0, "127.0.0.1", done));
      return `http://127.0.0.1:${http.address().port}`;
    },
    async dial(addr) {
      const socket = io(addr, { transports: ["websocket"], reconnection: false });
      await new Promise((done, failed) => socket.on("connect", done).on("connect_error", failed));
      return { call: (method, p) => socket.emitWithAck(method, p), close: () => socket.close() };
    },
  },
};
