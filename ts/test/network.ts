import type { Conn, Receiver } from "../src/conn.ts";

/** What goes wrong. All chances are from 0 to 1. */
export interface Faults {
  /** That a dial fails. */
  refuse: number;
  /** That a message is the last one: what is on its way in that direction is lost from a random one on. */
  cut: number;
  /** That a message and all after it vanish, without a word. */
  stall: number;
  /** How long a message may take, in ms. */
  delay: number;
}

/** A network in memory, whose delays are timers: it runs on fake ones. */
export class Network {
  faults: Faults;
  readonly #random: () => number;
  readonly #accept: (conn: Conn) => void;
  readonly lines: Line[] = [];

  constructor(random: () => number, faults: Faults, accept: (conn: Conn) => void) {
    this.#random = random;
    this.faults = faults;
    this.#accept = accept;
  }

  readonly dial = async (signal: AbortSignal): Promise<Conn> => {
    signal.throwIfAborted();
    if (this.#random() < this.faults.refuse) throw new Error("refused");
    const line = new Line(this.#random, () => this.faults);
    this.lines.push(line);
    this.#accept(line.ends[1]);
    return line.ends[0];
  };

  /** Connections that are up. */
  get up(): Line[] {
    return this.lines.filter((line) => !line.down);
  }
}

/** One connection. */
export class Line {
  readonly ends: [End, End];
  down = false;
  stalled = false;

  constructor(random: () => number, faults: () => Faults) {
    this.ends = [new End(this, 0, random, faults), new End(this, 1, random, faults)];
  }

  /** Cuts it. Each end notices when it has taken what still arrives. */
  cut(): void {
    if (this.down) return;
    this.down = true;
    for (const end of this.ends) end.lose(new Error("cut"));
  }
}

class End implements Conn {
  readonly #line: Line;
  readonly #side: 0 | 1;
  readonly #random: () => number;
  readonly #faults: () => Faults;
  #to: Receiver | undefined;
  #over = false;
  #arrivals: (() => void)[] = []; // on their way to this end, in order
  readonly buffered = 0;

  constructor(line: Line, side: 0 | 1, random: () => number, faults: () => Faults) {
    this.#line = line;
    this.#side = side;
    this.#random = random;
    this.#faults = faults;
  }

  start(to: Receiver): void {
    this.#to = to;
  }

  send(message: Uint8Array): void {
    const line = this.#line;
    if (this.#over || line.down || line.stalled) return;
    if (this.#random() < this.#faults().stall) {
      line.stalled = true;
      return;
    }
    const copy = message.slice(); // as a network does
    const there = line.ends[this.#side === 0 ? 1 : 0];
    there.#arrive(() => there.#to?.message(copy));
    if (this.#random() < this.#faults().cut) line.cut();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    queueMicrotask(() => this.#to?.closed());
    const there = this.#line.ends[this.#side === 0 ? 1 : 0];
    if (!this.#line.down) there.#arrive(() => there.#end());
    this.#line.down = true;
  }

  /** Lets something arrive after what is on its way already. */
  #arrive(what: () => void): void {
    this.#arrivals.push(what);
    setTimeout(
      () => {
        const next = this.#arrivals.shift();
        if (!this.#over) next?.();
      },
      this.#arrivals.length === 1 ? this.#random() * this.#faults().delay : this.#faults().delay,
    );
  }

  /** What is on its way is lost from a random message on. */
  lose(why: Error): void {
    this.#arrivals.length = Math.floor(this.#random() * (this.#arrivals.length + 1));
    this.#arrive(() => this.#end(why));
  }

  #end(why?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#to?.closed(why);
  }
}
