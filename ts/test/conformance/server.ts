import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { accept } from "../../src/accept.ts";
import { services } from "./services.ts";

/** Serves the methods of the suite in Node.js, on a port of loopback that is free. */
export async function listen(): Promise<{ url: string; close: () => void }> {
  const mux = services();
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => accept(socket, mux, { onError: () => {} }));
  await once(server, "listening");
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}
