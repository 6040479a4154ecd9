// What the Go tests start: it says on standard output where the server is, and ends with its standard input.
import { listen } from "./server.ts";

const { url, close } = await listen();
console.log(url);
process.stdin.resume();
process.stdin.on("end", close);
