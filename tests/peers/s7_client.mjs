// An S7 client that is not ours: one fixed sequence against a server on 127.0.0.1, its answers as one JSON line.
//   node s7_client.mjs nodes7|snap7 PORT
// nodes7 is written in JavaScript; node-snap7 wraps the snap7 C library. Blocks: DB100 (168 bytes, read only), DB101 (148).
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [library, port] = [process.argv[2], Number(process.argv[3])];

function nodes7() {
  const Client = require("nodes7");
  const client = new Client({ silent: true });
  const call = (method, ...args) => new Promise((resolve) => client[method](...args, (...answer) => resolve(answer)));
  const write = async (names, values) => (await call("writeItems", names, values))[0]; // true = some item was refused
  return (async () => {
    const [failed] = await call("initiateConnection", { host: "127.0.0.1", port, rack: 0, slot: 1, timeout: 3000 });
    if (failed) throw new Error(`no connection: ${JSON.stringify(failed)}`);
    const answers = {};
    answers.bit = await write(["DB101,X4.3"], [true]);
    answers.multi = await write(["DB101,WORD6", "DB101,DWORD144", "DB101,BYTE20"], [0x0102, 0x03040506, 0x77]);
    answers.outOfRange = await write(["DB101,BYTE146.4"], [[9, 9, 9, 9]]);
    answers.readOnly = await write(["DB100,WORD0"], [1]);
    client.addItems(["DB100,BYTE0.168", "DB101,X4.3", "DB101,X4.4", "DB100,DWORD24"]);
    const [bad, values] = await call("readAllItems");
    answers.read = { bad, up: Buffer.from(values["DB100,BYTE0.168"]).toString("hex"), values };
    await call("dropConnection");
    return answers;
  })();
}

async function snap7() {
  const snap7 = require("node-snap7");
  const client = new snap7.S7Client();
  // Asynchronous calls only: they run in a thread of the library.
  const call = (method, ...args) =>
    new Promise((resolve) => client[method](...args, (error, value) => resolve(error ? { error: client.ErrorText(error) } : { value })));
  client.SetParam(client.RemotePort, port);
  const connected = await call("ConnectTo", "127.0.0.1", 0, 1);
  if (connected.error) throw new Error(`no connection: ${connected.error}`);
  const answers = {};
  const done = (answer) => answer.error ?? "ok";
  const item = (start, data) => ({ Area: client.S7AreaDB, WordLen: client.S7WLByte, DBNumber: 101, Start: start, Amount: data.length, Data: data });
  answers.bit = done(await call("WriteArea", client.S7AreaDB, 101, 4 * 8 + 3, 1, client.S7WLBit, Buffer.from([1])));
  const multi = await call("WriteMultiVars", [
    item(6, Buffer.from([1, 2])),
    item(144, Buffer.from([3, 4, 5, 6])),
    item(146, Buffer.from([9, 9, 9, 9])),
    item(20, Buffer.from([0x77])),
  ]);
  answers.multi = multi.value.map((one) => (one.Result ? client.ErrorText(one.Result) : "ok"));
  answers.outOfRange = done(await call("DBWrite", 101, 146, 4, Buffer.from([9, 9, 9, 9])));
  answers.readOnly = done(await call("DBWrite", 100, 0, 2, Buffer.from([0, 1])));
  const up = await call("DBRead", 100, 0, 168);
  answers.read = { up: up.value?.toString("hex"), error: up.error };
  const status = await call("PlcStatus");
  answers.running = status.error ?? status.value === client.S7CpuStatusRun;
  client.Disconnect();
  return answers;
}

const answers = await (library === "snap7" ? snap7() : nodes7());
process.stdout.write(`${JSON.stringify(answers)}\n`, () => process.exit(0));
