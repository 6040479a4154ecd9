import type { Conn } from "./conn.ts";
import type { Frame } from "./wire.ts";

/** What a peer may be told. */
export interface PeerOptions {
  /** Milliseconds that a call gets which has no timeout of its own. Unset: 30,000; Infinity: no limit. Streams have none. */
  readonly callTimeout?: number;
  /** Milliseconds between two pings; who says nothing for 10 s after one is given up. Unset: 15,000; Infinity: no pings. */
  readonly keepAlive?: number;
  /**
   * Milliseconds that a stream or a long value may stand still while the other side owes something: the
   * rest of a value that it announced, or credit for items that it has not read. Unset: 300,000; Infinity: no limit.
   */
  readonly idle?: number;
  /** Calls of the other side that may be open at once. Unset: 1,024. */
  readonly maxCalls?: number;
  /** Of these, such as stream. Unset: 256. */
  readonly maxStreams?: number;
  /** Bytes of the longest argument, result or item that is taken. Unset: 8 MiB. What is longer goes through a stream. */
  readonly maxValue?: number;
  /** Bytes of all long values that arrive or wait to be consumed, and likewise of long answers that wait to be taken. Unset: 64 MiB. */
  readonly maxAssembly?: number;
  /**
   * Gives the peer another connection when its own is lost, or the other side leaves. It may take its
   * time, and should end when the signal is aborted; a rejection ends the peer. Calls that were not
   * sent, or may be repeated, go on. Unset: the peer ends with its connection.
   */
  readonly redial?: (signal: AbortSignal) => Promise<Conn>;
  /** The program's name, for the other side. Unset: "chum-ts". */
  readonly agent?: string;
  /** Gets what the other side is not told: what handlers threw, why a connection was cut. Unset: console.error. */
  readonly onError?: (error: unknown, method?: string) => void;
  /** Sees each frame, see TraceFrame. It must be quick, and must not throw. Unset: nobody does. */
  readonly trace?: (frame: TraceFrame) => void;
}

/** A frame on its way. */
export interface TraceFrame extends Frame {
  /** By this side; else received. */
  readonly sent: boolean;
  /** Valid until trace returns. */
  readonly payload: Uint8Array;
}
