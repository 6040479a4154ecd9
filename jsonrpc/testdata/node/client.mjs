// Runs the calls of npm rpc-websockets against the server at the address given, and prints what
// came as one JSON object.
import { Client } from "rpc-websockets"

const client = new Client(process.argv[2], { reconnect: false })
const out = {}
const events = (name) => new Promise((resolve) => client.once(name, resolve))
const greeting = events("greeting") // a call of the server, which reaches the program as an event
await events("open")

out.byPosition = await client.call("sum", [1, 2, 4])
out.byName = await client.call("subtract", { minuend: 42, subtrahend: 23 })
out.noParams = await client.call("get_data")
out.nothing = await client.call("nothing")
out.bytes = Buffer.from(await client.call("bytes", [Buffer.from([0, 255]).toString("base64")]), "base64").toString("hex")
out.long = (await client.call("long", [1000000])).length
out.unicode = await client.call("echo", ["Grüße, 世界 🙂"])
const failed = (e) => ({ code: e.code, message: e.message, data: e.data })
out.unknown = await client.call("none").catch(failed)
out.wrong = (await client.call("sum", ["x"]).catch(failed)).code
out.missing = await client.call("missing").catch(failed)
out.many = (await Promise.all(Array.from({ length: 500 }, (_, i) => client.call("sum", [i, 0, 0])))).every((v, i) => v === i)

await client.notify("note", ["from node"])
out.noted = await client.call("noted")

// The server calls while it serves: its call must not be taken for the answer to ours.
const asked = events("ask")
out.back = await client.call("back")
out.asked = await asked
out.greeting = await greeting

const items = []
client.on("rpc.item", (p) => items.push(p.value))
out.count = await client.call("count", [3])
out.items = items

let id
client.once("rpc.credit", async (p) => {
  id = p.id
  await client.notify("rpc.feed", { id, value: 40 })
  await client.notify("rpc.feed", { id, value: 2 })
  await client.notify("rpc.end", { id, items: 2 })
})
out.total = await client.call("total")

client.close()
console.log(JSON.stringify(out))
