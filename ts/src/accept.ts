/** For servers in JavaScript, `@chumsync/chum/accept`: an entry of its own, since no page is one. */
import type { Conn } from "./conn.ts";
import { control, isControl, OPEN, OPENED, REFUSED, RESUME, read } from "./control.ts";
import type { Mux } from "./mux.ts";
import type { PeerOptions } from "./options.ts";
import { Peer } from "./peer.ts";
import { type Socket, websocket } from "./ws.ts";

/**
 * Takes a client's WebSocket that a server has accepted, one of the npm package `ws` say, and gives a peer. It must be
 * called at once, in the handler of the server's `connection`. Await the peer's `ready` before what the other side
 * tells of itself is used; calls may be made at once. Sessions are not kept here: the peer ends with the connection.
 */
export function accept(socket: Socket, services?: Mux, options?: PeerOptions): Peer {
  return new Peer(withoutSession(websocket(socket)), services, options);
}

/**
 * The server's side of a connection, where no sessions are kept: tells a client that asks for one. What is sent waits
 * for the client's first message, since the answer to that comes first.
 */
function withoutSession(conn: Conn): Conn {
  let early: Uint8Array[] | undefined = [];
  return {
    start(to) {
      conn.start({
        message(message) {
          const waiting = early;
          early = undefined;
          if (waiting && isControl(message, RESUME)) {
            conn.send(control(REFUSED, { reason: "no sessions are kept here" }));
            return conn.close();
          }
          const opens = waiting && isControl(message, OPEN);
          if (opens) {
            try {
              read(message, OPEN);
            } catch {
              return conn.close(); // it is none
            }
            conn.send(control(OPENED, {}));
          }
          for (const message of waiting ?? []) conn.send(message);
          if (!opens) to.message(message);
        },
        closed: (error) => to.closed(error),
      });
    },
    send: (message) => (early ? void early.push(message) : conn.send(message)),
    get buffered() {
      return conn.buffered;
    },
    close: () => conn.close(),
  };
}
