// nodes7 as a peer for data types: writes the items named on the command line, reads them back, prints them as one JSON line.
//   node s7_values.mjs PORT '{"DB101,REAL0": 1.5, "DB101,DTLZ4": "2026-11-24T17:59:05.123Z"}'
import { createRequire } from "node:module";

const Client = createRequire(import.meta.url)("nodes7");
const wanted = JSON.parse(process.argv[3]);
const names = Object.keys(wanted);
const values = names.map((name) => (/,DTL?Z/.test(name) ? new Date(wanted[name]) : wanted[name]));
const client = new Client({ silent: true });
const call = (method, ...args) => new Promise((resolve) => client[method](...args, (...answer) => resolve(answer)));
const [failed] = await call("initiateConnection", { host: "127.0.0.1", port: Number(process.argv[2]), rack: 0, slot: 1, timeout: 3000 });
if (failed) throw new Error(`no connection: ${JSON.stringify(failed)}`);
const [refused] = await call("writeItems", names, values);
client.addItems(names);
const [bad, read] = await call("readAllItems");
await call("dropConnection");
process.stdout.write(`${JSON.stringify({ refused, bad, read })}\n`, () => process.exit(0));
