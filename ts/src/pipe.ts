import type { Conn, Receiver } from "./conn.ts";

/** One end: what it is told before its start waits for it. */
interface End {
  readonly conn: Conn;
  tell(what: (to: Receiver) => void): void;
  close(to: Receiver): void;
}

/**
 * The two ends of a connection in memory, for tests. What is sent at one comes at the other in a later
 * microtask, so that nobody is called from within a call of its own.
 */
export const pipe = (): [Conn, Conn] => {
  const a: End = end(() => b);
  const b: End = end(() => a);
  return [a.conn, b.conn];
};

const end = (other: () => End): End => {
  let to: Receiver | undefined;
  let early: ((to: Receiver) => void)[] = [];
  let sending = true;
  let receiving = true;
  let buffered = 0;
  const self: End = {
    tell(what): void {
      if (!to) early.push(what);
      else
        queueMicrotask(() => {
          if (to && receiving) what(to);
        });
    },
    close(receiver): void {
      sending = receiving = false;
      receiver.closed();
    },
    conn: {
      get buffered(): number {
        return buffered;
      },
      start(receiver): void {
        to = receiver;
        for (const what of early) self.tell(what);
        early = [];
      },
      send(message): void {
        if (!sending) return;
        buffered += message.length;
        other().tell((there) => {
          buffered -= message.length;
          there.message(message);
        });
      },
      close(): void {
        if (!sending) return;
        sending = false;
        for (const e of [self, other()]) e.tell(e.close);
      },
    },
  };
  return self;
};
