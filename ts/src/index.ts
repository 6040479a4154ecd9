export type { CallOptions } from "./call.ts";
export type { Checked, Checker } from "./check.ts";
export { compare, type Difference, type Expected } from "./compare.ts";
export type { Conn, Receiver, Resumer } from "./conn.ts";
export { accept, type ConnectOptions, connect } from "./connect.ts";
export { CallError, type Code, type Executed } from "./error.ts";
export type { Items } from "./feed.ts";
export {
  type Duplex,
  duplex,
  type Method,
  method,
  readable,
  type Shape,
  type Sink,
  type Source,
  type Stream,
  sink,
  source,
} from "./method.ts";
export { type HandleOptions, Mux, type Served, type Service } from "./mux.ts";
export type { PeerOptions, TraceFrame } from "./options.ts";
export { Peer } from "./peer.ts";
export { pipe } from "./pipe.ts";
export type { SessionOptions, State } from "./session.ts";
export type { CallStats, Stats, Traffic } from "./stats.ts";
export type { Priority } from "./stream.ts";
export type { Params } from "./value.ts";
export type { Socket, SocketEvent, SocketMaker } from "./ws.ts";
