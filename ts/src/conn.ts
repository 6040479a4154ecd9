/**
 * A Conn carries whole binary messages, in order, between two ends: a WebSocket is one, so is an
 * in-memory pair, so is a session, which outlives the connections beneath it.
 */
export interface Conn {
  /** Begins delivery; it is called once. What came before waits for it. */
  start(to: Receiver): void;
  /** Queues a message and returns at once; after the end it does nothing. The bytes are the Conn's from now on. */
  send(message: Uint8Array): void;
  /** Bytes that were sent and have not left for the network yet, as far as can be told. */
  readonly buffered: number;
  /** Ends the connection in order. `closed` follows, once. */
  close(): void;
}

/** What a Conn tells the layer above. Neither is called from within `send`, `start` or `close`. */
export interface Receiver {
  /** A message came. Its bytes are the receiver's. */
  message(message: Uint8Array): void;
  /** The end, once; without an error it was in order. Nothing comes after it. */
  closed(error?: Error): void;
}

/** A Resumer is a Conn that can go on with another connection beneath when the one it has breaks. */
export interface Resumer extends Conn {
  /**
   * Gives up the connection beneath if it is at least so many milliseconds old, because of why, and
   * tells whether the Conn goes on: with the connection it has, or by waiting for another one. If
   * not, nothing was done and the Conn is of no more use.
   */
  renew(age: number, why: Error): boolean;
}
