import { expect, test } from "vitest";
import type { Conn } from "../src/conn.ts";
import { type Mux, method, Peer, type PeerOptions } from "../src/index.ts";
import { pipe } from "../src/pipe.ts";
import { failed, gate } from "./pair.ts";
import { settle } from "./raw.ts";
import { Count, Hang, Hi, services } from "./services.ts";

/** A peer that dials again, and what stands at the other end each time. */
const dialing = (mux: Mux, options: PeerOptions = {}) => {
  const ends: { conn: Conn; peer: Peer }[] = [];
  const next: { dials: number; refuse?: Error; wait?: Promise<void> } = { dials: 0 };
  const quiet = (): void => {};
  const dial = (): Conn => {
    const [near, far] = pipe();
    ends.push({ conn: far, peer: new Peer(far, mux, { onError: quiet }) });
    return near;
  };
  const redial = async (signal: AbortSignal): Promise<Conn> => {
    next.dials++;
    await next.wait;
    if (next.refuse) throw next.refuse;
    signal.throwIfAborted();
    return dial();
  };
  const peer = new Peer(dial(), services(), { redial, onError: quiet, ...options });
  return { peer, ends, next };
};

const Twin = method<number, number>("twin");
const Once = method<number, number>("once");

const slow = () => {
  const runs: number[] = [];
  let hold = gate();
  const mux = services();
  const work = async (n: number): Promise<number> => {
    runs.push(n);
    await hold.promise;
    return 2 * n;
  };
  Twin.handle(mux, work, { pure: true });
  Once.handle(mux, work);
  return {
    mux,
    runs,
    open: () => {
      hold.open();
    },
    again: () => {
      hold = gate();
    },
  };
};

test("after a cut, repeatable calls go on, others end, and the peer works", async () => {
  const { mux, runs, open } = slow();
  const d = dialing(mux);
  await d.peer.ready;
  const pure = Twin.call(d.peer, 1, { repeat: true });
  const once = failed(Once.call(d.peer, 2));
  const stream = failed(
    Count.call(d.peer, 1e9)
      .next()
      .then(() => Hang.call(d.peer, undefined)),
  );
  await settle();
  d.ends[0]?.conn.close();
  const queued = Hi.call(d.peer, "queued");
  expect((await once).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  expect((await stream).slice(0, 2)).toEqual(["unavailable", "maybe"]);
  expect(await queued).toBe("hi queued");
  open();
  expect(await pure).toBe(2);
  expect(runs).toEqual([1, 2, 1]);
  expect([d.next.dials, d.peer.stats.redials]).toEqual([1, 1]);
  await settle();
  expect(d.peer.stats.out.open).toBe(0);
  d.peer.close();
});

test("calls made while there is no connection wait for one", async () => {
  const hold = gate();
  const d = dialing(services());
  await d.peer.ready;
  d.next.wait = hold.promise;
  d.ends[0]?.conn.close();
  await settle();
  const calls = [Hi.call(d.peer, "a"), Hi.call(d.peer, "b".repeat(20_000))];
  const control = new AbortController();
  const given = failed(Hi.call(d.peer, "c", { signal: control.signal }));
  control.abort();
  hold.open();
  expect(await Promise.all(calls)).toEqual(["hi a", `hi ${"b".repeat(20_000)}`]);
  expect((await given)[0]).toBe("cancelled");
  d.peer.close();
});

test("when the other side leaves, calls that it did not take are asked again elsewhere", async () => {
  const { mux, open } = slow();
  const d = dialing(mux);
  await d.peer.ready;
  const taken = Once.call(d.peer, 1);
  await settle();
  const end = d.ends[0]?.peer.shutdown();
  const refused = Hi.call(d.peer, "x"); // on its way when the goaway comes
  await settle();
  const held = Hi.call(d.peer, "y");
  open();
  expect(await taken).toBe(2);
  await end;
  expect(await Promise.all([refused, held])).toEqual(["hi x", "hi y"]);
  expect(d.peer.stats.redials).toBe(1);
  d.peer.close();
});

test("an orderly end, and a broken protocol, are answers: there is no other try", async () => {
  const d = dialing(services());
  await d.peer.ready;
  d.ends[0]?.peer.close();
  await d.peer.done;
  expect([d.peer.error, d.next.dials]).toEqual([undefined, 0]);

  const e = dialing(services());
  await e.peer.ready;
  e.ends[0]?.conn.send(new Uint8Array([0]));
  await e.peer.done;
  expect([e.peer.error?.message.includes("protocol"), e.next.dials]).toEqual([true, 0]);
});

test("no other connection ends the peer", async () => {
  const { mux } = slow();
  const d = dialing(mux);
  await d.peer.ready;
  const pure = failed(Twin.call(d.peer, 1, { repeat: true }));
  await settle();
  d.next.refuse = new Error("nobody there");
  d.ends[0]?.conn.close();
  const [code, executed, message] = await pure;
  expect([code, executed]).toEqual(["unavailable", "maybe"]);
  expect(message).toMatch(/nobody there/);
  await d.peer.done;
});

test("closing a peer that is looking for a connection ends that, too", async () => {
  const d = dialing(services());
  await d.peer.ready;
  const hold = gate();
  d.next.wait = hold.promise;
  d.ends[0]?.conn.close();
  await settle();
  const call = failed(Hi.call(d.peer, "x"));
  d.peer.close();
  expect((await call).slice(0, 2)).toEqual(["unavailable", "no"]);
  await d.peer.done;
  hold.open();
  await settle();
  expect(d.ends.length).toBe(1);
});

test("many cuts: no call is lost, and what may not be repeated runs once at most", async () => {
  const runs = new Map<number, number>();
  const mux = services();
  const count = (n: number): number => {
    runs.set(n, (runs.get(n) ?? 0) + 1);
    return n;
  };
  Twin.handle(mux, count, { pure: true });
  Once.handle(mux, count);
  const d = dialing(mux);
  await d.peer.ready;
  let done = 0;
  const jobs = Array.from({ length: 500 }, async (_, i) => {
    await settle(i % 20);
    if (i % 2) expect(await Twin.call(d.peer, i, { repeat: true })).toBe(i);
    else {
      try {
        expect(await Once.call(d.peer, i)).toBe(i);
      } catch (e) {
        expect((e as { executed: string }).executed).toBe("maybe");
      }
      expect(runs.get(i) ?? 0).toBeLessThanOrEqual(1);
    }
    done++;
  });
  for (let i = 0; i < 15; i++) {
    await settle(2);
    d.ends.at(-1)?.conn.close();
  }
  await Promise.all(jobs);
  expect(done).toBe(500);
  expect(d.peer.stats.out.open).toBe(0);
  d.peer.close();
});
