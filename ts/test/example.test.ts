import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { args, executablePath } from "./chromium.ts";

// examples/browser: its page in a real browser, at its real server.
const example = fileURLToPath(new URL("../../examples/browser/", import.meta.url));

test("the page's bundle is made of the sources as they are", async () => {
  const bundle = await rolldown({
    input: `${example}src/page.ts`,
    platform: "browser",
    tsconfig: `${example}tsconfig.json`,
  });
  const { output } = await bundle.generate({ minify: true }); // as `npm run example` does it
  await bundle.close();
  const current = output[0].code === (await readFile(`${example}page/page.js`, "utf8"));
  expect(current, "examples/browser/page/page.js is old; run: make example").toBe(true);
});

describe.skipIf(!existsSync(executablePath))("in Chromium (skipped without one)", () => {
  let dir: string;
  let server: ChildProcess;
  let url: string;
  let browser: Browser;

  beforeAll(async () => {
    dir = await mkdtemp(`${tmpdir()}/chum-example-`);
    execFileSync("go", ["build", "-o", dir, "."], { cwd: example, env: { ...process.env, GOWORK: "off" } });
    server = spawn(`${dir}/browser`, ["-addr", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
    [url] = await once(createInterface(server.stdout!), "line");
    browser = await chromium.launch({ executablePath, args });
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    server?.kill();
    await rm(dir, { recursive: true });
  });

  /** Opens the page, which must say nothing on its console until the test is over. */
  const open = async (): Promise<Page> => {
    const page = await browser.newPage();
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("console", (message) => wrong.push(message.text()));
    onTestFinished(async () => {
      await page.close();
      expect(wrong).toEqual([]);
    });
    await page.goto(url);
    await vi.waitUntil(async () => (await page.textContent("#state")) === "connected", 10_000);
    return page;
  };

  const outcome = (page: Page, want: RegExp): Promise<void> =>
    vi.waitFor(async () => expect(await page.textContent("#outcome")).toMatch(want), { timeout: 25_000, interval: 50 });

  /** Bytes of "12.3 MB". */
  const bytes = async (page: Page, id: string): Promise<number> =>
    Number.parseFloat((await page.textContent(`#${id}`)) ?? "") * 1e6;

  /** The most bytes of memory that a process has had. */
  const peak = async (pid: number): Promise<number> =>
    1024 * Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);

  test("200 MB pass through little memory, and the server calls the page meanwhile", async () => {
    const page = await open();
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const peaks = (): Promise<number[]> => Promise.all([server.pid!, ...processInfo.map(({ id }) => id)].map(peak));

    const hash = createHash("sha256");
    for (let left = 200e6; left > 0; left -= 65_536) hash.update(Buffer.alloc(Math.min(65_536, left), left % 256));
    const digest = hash.digest("hex");
    const upload = async (): Promise<void> => {
      await page.click("#made");
      await page.waitForSelector("#ask[open]");
      expect(await page.textContent("#question")).toBe("Shall the server take made-up.bin, 200.0 MB?");
      await page.click("#ask .main");
      await outcome(page, new RegExp(`^The server has all 200.0 MB; SHA-256 ${digest}$`));
    };
    const [start] = await peaks();
    await upload();
    const before = await peaks(); // with what the garbage of JavaScript may grow to
    await upload();
    const then = await peaks();

    expect(then[0]! - start!, "the server").toBeLessThan(16 * 2 ** 20);
    for (const [i, n] of then.entries()) expect(n - before[i]!).toBeLessThan(48 * 2 ** 20);
    await vi.waitUntil(async () => (await bytes(page, "sent")) >= 400e6);
    expect(Number(await page.textContent("#in"))).toBeGreaterThan(4); // it was asked twice, and shown
  });

  test("a slow server slows the reading down; the page cancels", async () => {
    const page = await open();
    await page.check("#slow");
    await page.click("#made");
    await page.click("#ask .main");
    let most = 0;
    await vi.waitUntil(
      async () => {
        most = Math.max(most, (await bytes(page, "between")) || 0);
        return (await bytes(page, "arrivedText")) >= 4e6;
      },
      { timeout: 20_000, interval: 50 },
    );
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(4e6);
    await page.click("#cancel");
    await outcome(page, /^cancelled: /);
    await vi.waitUntil(async () => (await page.textContent("#open")) === "0 out, 0 in");
  });

  test("the server stops an upload", async () => {
    const page = await open();
    await page.check("#slow");
    await page.click("#made");
    await page.click("#ask .main");
    await vi.waitUntil(async () => (await bytes(page, "arrivedText")) > 0, 10_000);
    await page.click("#stop");
    await outcome(page, /^aborted: the server has stopped it/);
  });

  test("a question is withdrawn when the page cancels, and when the server stops", async () => {
    const page = await open();
    for (const [press, want] of [
      ["#cancel", /^cancelled: /],
      ["#stop", /^aborted: /],
    ] as const) {
      await page.click("#made");
      await page.waitForSelector("#ask[open]");
      await page.click(press);
      await outcome(page, want);
      await page.waitForSelector("#ask:not([open])", { state: "attached" });
    }
  });

  test("a file is taken with a yes, and not with a no", async () => {
    const page = await open();
    const buffer = Buffer.from("what is in it");
    for (const [answer, want] of [
      ["no", /^failed_precondition: the page said no/],
      ["yes", new RegExp(`SHA-256 ${createHash("sha256").update(buffer).digest("hex")}`)],
    ] as const) {
      await page.setInputFiles("#file", { name: "a <b>.txt", mimeType: "text/plain", buffer });
      await page.waitForSelector("#ask[open]");
      expect(await page.textContent("#question")).toContain("a <b>.txt");
      await page.click(`#ask [value=${answer}]`);
      await outcome(page, want);
    }
  });
});
