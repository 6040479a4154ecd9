import { CallError, connect, Mux, type State } from "@chumsync/chum";
import { Ask, Show, slow, stop, upload } from "./methods.ts";

const element = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const button = element<HTMLButtonElement>;
const write = (id: string, text: string): void => {
  element(id).textContent = text;
};
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

// The upload that goes on, or the last one.
let size = 0; // bytes
let read = 0; // here
let arrived = 0; // that the server has read
let running = false;
let cancel = new AbortController();

const draw = (id: string, bytes: number): void => {
  element<HTMLProgressElement>(id).value = size ? bytes / size : 0;
  write(`${id}Text`, megabytes(bytes));
};

// What the server may call here.
const services = new Mux();
Ask.handle(services, (question, { signal }) => {
  const dialog = element<HTMLDialogElement>("ask");
  write("question", question);
  dialog.returnValue = "";
  dialog.show();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    signal.addEventListener("abort", () => dialog.close()); // nobody waits for the answer any more
  });
});
Show.handle(services, (progress) => {
  arrived = progress.size;
});

const onState = ({ phase }: State): void => {
  write("state", phase);
  element("state").classList.toggle("up", phase === "connected" || phase === "resumed");
};
const peer = await connect(new URL("chum", location.href), services, { onState }).catch((error) => {
  write("state", String(error));
  throw error;
});

/** Counts what is read: the stream is asked for more only when the server has taken what came before. */
const counted = (): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> =>
  new TransformStream({
    transform(piece, controller): void {
      read += piece.length;
      controller.enqueue(piece);
    },
  });

const send = async (name: string, bytes: number, stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
  [size, read, arrived, cancel] = [bytes, 0, 0, new AbortController()];
  busy(true);
  write("outcome", `${name} is on its way.`);
  try {
    const timeout = Number.POSITIVE_INFINITY; // it takes as long as it takes
    const receipt = await upload(peer, { name, size }, stream.pipeThrough(counted()), {
      signal: cancel.signal,
      timeout,
    });
    arrived = receipt.size;
    write("outcome", `The server has all ${megabytes(receipt.size)}; SHA-256 ${receipt.sha256}`);
  } catch (error) {
    write("outcome", error instanceof CallError ? `${error.code}: ${error.message}` : String(error));
  }
  busy(false);
};

const busy = (on: boolean): void => {
  running = on;
  for (const id of ["cancel", "stop"]) button(id).disabled = !on;
  button("made").disabled = input.disabled = on;
};

/** Bytes that are nowhere before somebody asks for them. */
const made = (bytes: number): ReadableStream<Uint8Array<ArrayBuffer>> =>
  new ReadableStream(
    {
      pull(controller): void {
        const piece = new Uint8Array(Math.min(64 * 1024, bytes)).fill(bytes);
        bytes -= piece.length;
        if (piece.length) controller.enqueue(piece);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );

element("made").addEventListener("click", () => void send("made-up.bin", 200_000_000, made(200_000_000)));
const input = element<HTMLInputElement>("file");
input.addEventListener("change", () => {
  const [file] = input.files ?? [];
  if (file) void send(file.name, file.size, file.stream());
  input.value = ""; // the same one may be chosen again
});
element("cancel").addEventListener("click", () => cancel.abort());
element("stop").addEventListener("click", () => void stop(peer));
const switched = element<HTMLInputElement>("slow");
switched.addEventListener("change", () => void slow(peer, switched.checked));

let before = { sent: 0, at: performance.now() };
const tick = (): void => {
  const { sent, received, waiting, out, in: served } = peer.stats;
  const now = { sent: sent.bytes, at: performance.now() };
  draw("read", read);
  draw("arrived", arrived);
  write("sent", megabytes(sent.bytes));
  write("received", megabytes(received.bytes));
  write("speed", `${megabytes(((now.sent - before.sent) * 1000) / Math.max(1, now.at - before.at))}/s`);
  write("between", megabytes(running ? read - arrived : 0));
  write("waiting", megabytes(waiting));
  write("open", `${out.open} out, ${served.open} in`);
  write("out", `${out.started}`);
  write("in", `${served.started}`);
  before = now;
};
tick();
setInterval(tick, 250);
