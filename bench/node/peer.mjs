// Server and client of the systems that run on Node, as processes of bench: see
// process.go for what is said on stdin and stdout. They have the scenarios with calls.
// JSON has no bytes, so a string of a hundred characters stands for them.
import { createInterface } from "node:readline";
import { systems } from "./systems.mjs";

const payload = "0123456789".repeat(10);

const records = Array.from({ length: 1024 }, (_, i) => ({
  kind: 9, number: i, name: `display_name_${i}`, typeUrl: `example.org/${i}`,
  packed: true, jsonName: `displayName${i}`, default: `nobody ${i}`,
}));

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (v) => process.stdout.write(JSON.stringify(v) + "\n");
async function hear() {
  const { done, value } = await lines.next();
  if (done) process.exit(0); // the parent is gone
  return JSON.parse(value);
}

// usage is what readUsage in usage.go tells, as far as Node knows it.
function usage() {
  const cpu = process.cpuUsage();
  const m = process.resourceUsage();
  return { cpu: (cpu.user + cpu.system) * 1000, mallocs: 0, goroutines: 0, rss: process.memoryUsage.rss(), peak: m.maxRSS * 1024 };
}

async function serve(job) {
  say({ addr: await systems[job.system].serve() });
  for (;;) {
    await hear(); // start or stop
    say({ usage: usage() });
  }
}

async function order(o) {
  say({ order: o });
  return (await hear()).usage;
}

// load keeps so many calls open until the time is over, and waits for the last.
async function load(call, open, ms, timed) {
  const took = [];
  let all = 0, inTime = 0, over = false;
  const start = performance.now();
  setTimeout(() => { over = true; }, ms);
  await Promise.all(Array.from({ length: open }, async () => {
    while (!over) {
      const begin = timed ? performance.now() : 0;
      await call();
      if (timed) took.push((performance.now() - begin) * 1000);
      all++;
      if (!over) inTime++;
    }
  }));
  const rate = inTime > 0 ? inTime / ms : all / (performance.now() - start); // as callLoaded.rate in calls.go
  return { all, rate: rate * 1000, took: Float64Array.from(took).sort() };
}

async function measure(job) {
  const { call, close, added = 1 } = await systems[job.system].dial(job.addr);
  const echo = (method) => async () => {
    const answer = await call(method, payload);
    if (answer !== payload) throw new Error(`the answer is ${answer}, want ${payload}`);
  };
  let next = 0;
  const typed = async () => {
    const r = records[next++ % records.length];
    const a = await call("typed", r);
    if (a.number !== r.number + added || a.kind !== r.kind || a.name !== r.name || a.typeUrl !== r.typeUrl
      || a.packed !== r.packed || a.jsonName !== r.jsonName || a.default !== r.default) {
      throw new Error(`the typed call answered ${JSON.stringify(a)}`);
    }
  };
  const what = { "latency/bytes": [1, echo("bytes")], "latency/typed": [1, typed],
    "calls/bytes": [100, echo("bytes")], "calls/typed": [100, typed],
    "sleep/bytes": [job.size.open, echo("sleep")],
    "node/100 open": [100, typed], "node/1 open": [1, typed] }[`${job.scenario}/${job.case}`];
  if (!what) throw new Error("the system has no such scenario");
  const [open, once] = what;
  await load(once, open, 3 * job.size.warm / 1e6, false); // the compiler of JavaScript takes longer to warm up
  const server = await order("start"), client = usage();
  const ms = (job.size.measure / 1e6) * (job.scenario === "sleep" ? 3 : 1);
  const l = await load(once, open, ms, open !== 100 || job.scenario === "node");
  const clientThen = usage(), serverThen = await order("stop");
  const metrics = {
    "client CPU-µs/call": (clientThen.cpu - client.cpu) / 1000 / l.all,
    "calls/s": l.rate,
    "CPU-µs/call": (clientThen.cpu - client.cpu + serverThen.cpu - server.cpu) / 1000 / l.all,
  };
  if (l.took.length > 0) {
    const quantile = (q) => l.took[Math.min(l.took.length - 1, Math.floor(q * l.took.length))];
    metrics["p50 µs"] = quantile(0.5);
    metrics["p99 µs"] = quantile(0.99);
  }
  close();
  say({ metrics });
}

const job = await hear();
setTimeout(() => process.exit(1), job.limit / 1e6).unref();
try {
  await (process.env.CHUM_BENCH_CHILD === "server" ? serve(job) : measure(job));
} catch (err) {
  say({ error: `${job.system}, ${job.scenario}/${job.case}: ${err?.stack ?? err}` });
}
await hear(); // until stdin ends
