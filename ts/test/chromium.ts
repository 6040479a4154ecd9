/** Where Debian's Chromium is, or another. */
export const executablePath: string = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** How it is started. One that looks for updates is refused by a closed network, many times at once. */
export const args: string[] = [
  "--no-sandbox", // it runs as root in CI, and loads nothing but these tests
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
