import type { CallOptions } from "../../src/call.ts";
import { CallError } from "../../src/error.ts";
import type { Peer } from "../../src/peer.ts";
import type { Priority, Stream } from "../../src/stream.ts";
import type { Call, Outcome } from "./case.ts";
import { fromData, fromItems, toData, toItems } from "./data.ts";
import { known, started } from "./methods.ts";

const failed = (error: unknown): Outcome => {
  if (!(error instanceof CallError)) return { code: "no such case", data: `${error}` };
  const { code, executed, data } = error;
  return { code, executed, ...(data !== undefined && { data }) };
};

/** Makes a call and tells what came of it. cut resets the connection; the side that was connected to has none. */
export async function play(peer: Peer, call: Call, cut?: () => unknown): Promise<Outcome> {
  if (call.cut && !cut) return failed("only the side that connects can cut");
  const { timeout, metadata, key, repeat, priority } = call;
  const stop = new AbortController();
  const options: CallOptions = {
    signal: stop.signal,
    ...(timeout && { timeout }),
    ...(metadata && { metadata }),
    ...(key && { key }),
    ...(repeat && { repeat }),
    ...(priority && { priority: priority as Priority }),
  };
  const outcome = make(peer, call, options).catch(failed);
  const name = call.cancel ?? call.cut;
  if (name !== undefined) {
    await started.call(peer, name);
    if (call.cancel) stop.abort();
    else await cut?.();
  }
  const o = await outcome;
  // How much had come by then is chance, and so is which side was first to see the time run out.
  if (name !== undefined || (timeout && o.code)) delete o.items;
  if (timeout && o.code === "deadline_exceeded") delete o.executed;
  return o;
}

async function make(peer: Peer, call: Call, options: CallOptions): Promise<Outcome> {
  const method = known.get(call.method);
  const { args, named, take = 0 } = call;
  if (args || named)
    return { result: toData((await peer.send(call.method, ...(fromData(args ?? []) as unknown[]))) ?? null) };
  const argument = fromData(call.arg);
  if (method?.unary) {
    // What "back" takes and gives is data already.
    const result = await method.unary.call(peer, call.method === "back" ? call.arg : argument, options);
    return { result: call.method === "back" ? result : toData(result ?? null) };
  }
  const items = toItems(call.items ?? []);
  if (method?.sink) return { result: toData(await method.sink.call(peer, argument, items, options)) };
  if (method?.source) return drain(method.source.call(peer, argument, options), take, method.bytes);
  if (method?.duplex) return drain(method.duplex.call(peer, argument, items, options), take, method.bytes);
  return { code: "no such case", data: `a method that is not of the suite: ${call.method}` };
}

/** Reads a stream, or as many items of it. */
async function drain(stream: Stream<unknown>, take: number, bytes = false): Promise<Outcome> {
  const list: unknown[] = [];
  let end: Outcome = {};
  try {
    for await (const item of stream) if (list.push(item) === take) break;
  } catch (error) {
    end = failed(error);
  }
  return { items: fromItems(list, bytes), ...end };
}
