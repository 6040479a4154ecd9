import { connect } from "../../src/connect.ts";
import { method } from "../../src/method.ts";
import type { Peer } from "../../src/peer.ts";
import type { Call, Case, CaseFile, Outcome, Verdict } from "./case.ts";
import { same } from "./data.ts";
import { back } from "./methods.ts";
import { play } from "./play.ts";
import { services } from "./services.ts";
import { converse } from "./wire.ts";

const caseTime = 20_000; // ms that a case may take
const workers = 8; // cases that are played at the same time

/** What the cases are played against. */
export interface Target {
  /** The server's URL. */
  readonly url: string;
  /** Host and port of the proxy that makes the faults. */
  readonly proxy: string;
}

/** Plays all cases, some at the same time. */
export async function run(file: CaseFile, target: Target): Promise<Verdict[]> {
  const peer = await connect(target.url, undefined, { noResume: true });
  const { offers } = await method<void, { offers: string[] }>("conformance", { params: { form: "none" } }).call(peer);
  await peer.shutdown();
  const verdicts: Verdict[] = [];
  const left = file.cases.entries();
  const work = async (): Promise<void> => {
    for (const [i, c] of left) {
      const { group, name, needs } = c;
      const verdict: Verdict = { group, name, offered: needs === undefined || offers.includes(needs) };
      verdicts[i] = verdict;
      if (verdict.offered) {
        await within(caseTime, judge(file, c, target)).catch((error: Error) => {
          verdict.why = error.message;
        });
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return verdicts;
}

const within = <T>(ms: number, promise: Promise<T>): Promise<T> => {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/** Plays a case, and throws what was not as it should be. */
async function judge(file: CaseFile, c: Case, { url, proxy }: Target): Promise<void> {
  const id = crypto.randomUUID();
  const about = new URLSearchParams({ to: url, case: id, fault: JSON.stringify(c.fault ?? {}) });
  const at = c.fault ? `ws://${proxy}/?${about}` : url;
  if (c.steps) return converse(at, file.hello_hex, c);
  const calls: Call[] = JSON.parse(JSON.stringify(c.calls).replaceAll("$id", id));
  const peer = await connect(at, services(), { noResume: c.needs !== "resume", onError: () => {} });
  try {
    const cut = (): unknown => fetch(`http://${proxy}/cut?case=${id}`, { method: "POST" });
    await all(peer, calls, c.together === true, cut);
    if (calls.some((call) => call.cut)) return;
    if (c.fault?.up || c.fault?.down) {
      const resets = await fetch(`http://${proxy}/resets?case=${id}`);
      if (Number(await resets.text()) === 0) throw new Error("the fault did not happen: too little was sent");
    }
    await peer.shutdown();
    if (peer.error) throw new Error(`the end is not in order: ${peer.error.message}`);
  } finally {
    peer.close();
  }
}

/** Makes the calls, one after the other or all at once. */
async function all(peer: Peer, calls: Call[], together: boolean, cut: () => unknown): Promise<void> {
  const made: Promise<void>[] = [];
  for (const call of calls) {
    const some = Array.from({ length: call.times ?? 1 }, () => one(peer, call, cut));
    made.push(...some);
    if (!together) await Promise.all(some);
  }
  await Promise.all(made);
}

/** Makes a call, or has the other side make it, and compares. */
async function one(peer: Peer, call: Call, cut: () => unknown): Promise<void> {
  const { back: backwards, times: _, want = {}, ...asked } = call;
  const got: Outcome = backwards ? await back.call(peer, asked) : await play(peer, call, cut);
  if (!same(got, want)) {
    const short = (o: Outcome): string => JSON.stringify(o).slice(0, 500);
    throw new Error(`${call.method} came to ${short(got)}, not ${short(want)}`);
  }
}
