import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";
import { rolldown } from "rolldown";
import { expect, inject, test, vi } from "vitest";
import { args, executablePath } from "./chromium.ts";

// What the page's script does. It is bundled with the package, as a user's build does.
const script = `
  import { connect, Mux } from "./src/index.ts";
  const services = new Mux();
  services.handle("square", (n) => n * n);
  const peer = await connect(document.body.dataset.url, services);
  document.title = await peer.send("askBack", 10);
`;

test.skipIf(!existsSync(executablePath))(
  "a page with the strictest Content-Security-Policy calls and is called (skipped without a Chromium)",
  async () => {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const bundle = await rolldown({
      input: "page",
      cwd: root,
      plugins: [
        {
          name: "page",
          resolveId: (id) => (id === "page" ? `${root}page.ts` : null),
          load: (id) => (id === `${root}page.ts` ? script : null),
        },
      ],
    });
    const { output } = await bundle.generate({ minify: true });
    await bundle.close();

    const url = `ws://${inject("server")}/ws?name=csp`;
    const server = createServer((request, response) => {
      if (request.url === "/page.js") {
        response.setHeader("Content-Type", "text/javascript").end(output[0].code);
        return;
      }
      response.setHeader("Content-Type", "text/html");
      response.setHeader(
        "Content-Security-Policy",
        `default-src 'none'; script-src 'self'; connect-src ws://${inject("server")}; require-trusted-types-for 'script'; trusted-types 'none'`,
      );
      response.end(`<!doctype html><body data-url="${url}"><script type="module" src="/page.js"></script>`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const browser = await chromium.launch({ executablePath, args });
    try {
      const page = await browser.newPage();
      const wrong: string[] = [];
      page.on("pageerror", (error) => wrong.push(error.message));
      page.on("console", (message) => wrong.push(message.text()));
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await vi.waitUntil(async () => (await page.title()) || wrong.length, 10_000);
      expect([await page.title(), wrong]).toEqual(["385", []]);
    } finally {
      await browser.close();
      server.close();
    }
  },
);
