import { ACK, BYE, BYTES_FORM, ERROR, ITEM, MARK, PART, RESULT } from "../../src/wire.ts";
import { frame, framesOf, type Got, textOf, u } from "../raw.ts";
import type { Case, End } from "./case.ts";
import { same, unhex } from "./data.ts";

const kinds = [
  ...["session", "hello", "request", "result", "error", "cancel", "item", "end", "part"],
  ...["credit", "mark", "ack", "ping", "pong", "goaway", "bye"],
];
const endTime = 5000; // ms for a connection to be cut: less than the times after which silence is the reason
const lastID = Number.MAX_SAFE_INTEGER;

/** A call of "echo" with the last id that there is. */
const probe = unhex(`32ffffffffffffff0f1300000004${hexOf("echo")}${hexOf("still there")}`);

function hexOf(text: string): string {
  return Array.from(text, (c) => c.charCodeAt(0).toString(16)).join("");
}

/** What a message brings: of a session's, a frame of kind 0 with its op as the id, and the data behind an ack. */
function taken(message: Uint8Array): Got[] {
  if (message[0] !== 0) return framesOf(message);
  const [, op = 0] = message;
  const frame: Got = { kind: 0, form: 0, own: false, long: false, id: op, payload: message.subarray(2) };
  let at = 2;
  if (op === 6) while ((message[at++] ?? 0) & 0x80);
  return [frame, ...(op === 6 ? framesOf(message.subarray(at)) : [])];
}

/** The side that writes by hand. */
class Writer {
  readonly got: Got[] = [];
  closed = false;
  readonly #socket: WebSocket;
  #bulk = 0;
  #changed: () => void = () => {};

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      for (const f of taken(new Uint8Array(data as ArrayBuffer))) {
        this.got.push(f);
        this.#acknowledge(f);
      }
      this.#changed();
    });
    socket.addEventListener("close", () => {
      this.closed = true;
      this.#changed();
    });
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    if (!this.closed) this.#socket.send(message);
  }

  /** Answers a mark, so that bulk goes on. */
  #acknowledge({ kind, long, payload }: Got): void {
    if (kind === ITEM || kind === PART || long) this.#bulk += payload.length;
    if (kind === MARK) this.send(frame(ACK, 0, u(this.#bulk, 0)) as Uint8Array<ArrayBuffer>);
  }

  /** Waits until something holds. */
  async until(holds: () => boolean, what: string, ms = 15_000): Promise<void> {
    while (!holds()) {
      if (this.closed) throw new Error(`${what} did not come: ${this.told()}`);
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${what} did not come in time: ${this.told()}`)), ms);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  frame(kind: string, id: number, times = 1): Promise<void> {
    return this.until(() => this.count(kind, id) >= times, `${kind} ${id}`);
  }

  count(kind: string, id: number): number {
    return this.got.filter((f) => kinds[f.kind] === kind && f.id === id).length;
  }

  told(): string {
    const first = this.got.slice(0, 20);
    return first.map((f) => `${kinds[f.kind]} ${f.id} ${textOf(f.payload).slice(0, 200)}`).join("; ");
  }
}

/** Plays a wire case, and throws what was not as it should be. */
export async function converse(url: string, hello: string, c: Case): Promise<void> {
  const socket = new WebSocket(url, "chum.1");
  socket.binaryType = "arraybuffer";
  const w = new Writer(socket);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("cannot connect")));
  });
  try {
    const end = c.end as End;
    if (!c.bare) {
      w.send(unhex(hello));
      await w.frame("hello", 0);
    }
    for (const step of c.steps ?? []) {
      if (step.await) await w.frame(step.await.kind, step.await.id, step.await.times);
      if (step.send_hex !== undefined) w.send(unhex(step.send_hex));
    }
    if (end.cut === undefined && !end.closed) await goesOn(w, end);
    else await w.until(() => w.closed, "the end", endTime);
    if (!end.closed) compare(w, end);
  } finally {
    socket.close();
  }
}

/** Sees that all answers come, and that another call is answered. */
async function goesOn(w: Writer, end: End): Promise<void> {
  const want = (end.results ?? 0) + (end.errors?.length ?? 0);
  await w.until(() => w.got.filter((f) => f.kind === RESULT || f.kind === ERROR).length >= want, `${want} answers`);
  if (end.last) return;
  w.send(probe);
  await w.frame("result", lastID);
  const { form, payload } = w.got.at(-1) as Got;
  if (form !== BYTES_FORM || textOf(payload) !== "still there")
    throw new Error(`the last call: ${form} ${textOf(payload)}`);
}

/** Holds all that came against what was to come. */
function compare(w: Writer, want: End): void {
  const got: End = { ...(want.last && { last: true }) };
  const results = w.got.filter((f) => f.kind === RESULT && (f.id !== lastID || want.last));
  const errors = w.got.filter((f) => f.kind === ERROR).map((f) => ({ id: f.id, ...refusal(f) }));
  for (const f of w.got) if (f.kind === BYE) got.cut = refusal(f).code;
  if (want.cut === undefined) {
    const items = w.count("item", 1);
    if (items) got.items = items;
    if (results.length) got.results = results.length;
    if (errors.length) got.errors = errors.sort((a, b) => a.id - b.id);
    const back = want.back && results.find((f) => f.id === 1);
    if (back) got.back = JSON.parse(textOf(back.payload));
  }
  if (!same(got, want)) throw new Error(`it came to ${JSON.stringify(got)}, not ${JSON.stringify(want)}; ${w.told()}`);
}

function refusal({ payload }: Got): { code: string; executed: string } {
  const { code, executed } = JSON.parse(textOf(payload));
  return { code, executed };
}
