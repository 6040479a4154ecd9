import type { Conn, Receiver } from "./conn.ts";

/**
 * The two ends of a connection in memory, for tests. What is sent at one comes at the other in a later
 * task, so that nobody is called from within a call of its own.
 */
export const pipe = (): [Conn, Conn] => {
  const a = new End();
  const b = new End();
  a.other = b;
  b.other = a;
  return [a, b];
};

class End implements Conn {
  other: End | undefined;
  buffered = 0;
  private to: Receiver | undefined;
  private early: (() => void)[] = [];
  private over = false;

  start(to: Receiver): void {
    this.to = to;
    for (const early of this.early) queueMicrotask(early);
    this.early = [];
  }

  send(message: Uint8Array): void {
    if (this.over) return;
    this.buffered += message.length;
    this.other?.deliver(() => {
      this.buffered -= message.length;
      this.other?.to?.message(message);
    });
  }

  close(): void {
    if (this.over) return;
    this.over = true;
    for (const end of [this, this.other]) end?.deliver(() => end.end());
  }

  private end(): void {
    this.over = true;
    this.to?.closed();
    this.to = undefined;
  }

  private deliver(what: () => void): void {
    if (this.to) queueMicrotask(what);
    else this.early.push(what);
  }
}
