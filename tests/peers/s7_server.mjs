// The snap7 C library as an S7 server on 127.0.0.1: DB100 (bytes 0, 1, 2, …) and DB101 (zeros).
//   node s7_server.mjs PORT SIZE100 SIZE101
// Says {"event":"ready"}; at the end of stdin it says what stands in DB101, as hex, and ends.
import { createRequire } from "node:module";

const { S7Server } = createRequire(import.meta.url)("node-snap7");
const [port, up, down] = process.argv.slice(2).map(Number);
const server = new S7Server();
const must = (done, what) => {
  if (!done) throw new Error(`${what}: ${server.ErrorText(server.LastError())}`);
};
must(server.SetParam(server.LocalPort, port), "port");
must(server.RegisterArea(server.srvAreaDB, 100, Buffer.from(Array.from({ length: up }, (_, i) => i & 0xff))), "DB100");
must(server.RegisterArea(server.srvAreaDB, 101, Buffer.alloc(down)), "DB101");
must(server.StartTo("127.0.0.1"), "start");
console.log('{"event":"ready"}');
process.stdin.resume();
process.stdin.on("end", () => {
  console.log(JSON.stringify({ event: "held", down: server.GetArea(server.srvAreaDB, 101).toString("hex") }));
  server.Stop();
  process.exit(0);
});
