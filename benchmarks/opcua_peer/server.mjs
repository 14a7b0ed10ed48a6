// node-opcua's server with the nodes and changes of benchmarks/opcua_server.py, to be measured beside it.
// The first line of stdin holds the options as JSON: certificate, key (PEM files), folder, nodes, hz, station. Says
// {"event":"ready",…}; on "end" it says {"event":"measured"} with the loop's lag in ms; ends with stdin.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const SIGN_AND_ENCRYPT = 3;
const BASIC_256_SHA_256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256";
const FLOAT = 10;
const GROUPS = 10;
const TICK_MS = 5;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function serve(options) {
  const begin = performance.now();
  const manager = new OPCUACertificateManager({ rootFolder: join(options.folder, "pki"), automaticallyAcceptUnknownCertificate: true });
  await manager.initialize();
  const server = new OPCUAServer({
    hostname: "127.0.0.1",
    port: options.port,
    resourcePath: "/node",
    certificateFile: options.certificate,
    privateKeyFile: options.key,
    serverCertificateManager: manager,
    securityModes: [SIGN_AND_ENCRYPT],
    securityPolicies: [BASIC_256_SHA_256],
    maxConnectionsPerEndpoint: 200,
    serverCapabilities: { maxSessions: 200, maxMonitoredItemsPerCall: 1000 },
    nodeset_filename: [require("node-opcua-nodesets").nodesets.standard],
    serverInfo: { applicationUri: options.application },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:benchmark");
  const nodes = [];
  for (let n = 0; n < options.nodes; n += 1) {
    const name = `P${String(n).padStart(3, "0")}`;
    nodes.push(
      own.addVariable({
        organizedBy: space.rootFolder.objects,
        browseName: name,
        nodeId: `s=${options.station}.Tags.Params.${name}`,
        dataType: "Float",
        value: { dataType: FLOAT, value: 0 },
      }),
    );
  }
  await server.start();
  say({ event: "ready", url: `opc.tcp://127.0.0.1:${options.port}/node`, start_s: (performance.now() - begin) / 1000, space: own.index });
  let round = 0;
  setInterval(() => {
    const group = round % GROUPS;
    const value = Math.floor(round / GROUPS) % 1000000;
    round += 1;
    const last = Math.floor((nodes.length * (group + 1)) / GROUPS);
    for (let n = Math.floor((nodes.length * group) / GROUPS); n < last; n += 1) {
      nodes[n].setValueFromSource({ dataType: FLOAT, value });
    }
  }, 1000 / options.hz / GROUPS);
}

let lags = [];
function watch() {
  const begin = performance.now();
  setTimeout(() => {
    lags.push(performance.now() - begin - TICK_MS);
    watch();
  }, TICK_MS);
}

const lines = createInterface({ input: process.stdin });
let started = false;
lines.on("line", (line) => {
  if (!started) {
    started = true;
    serve(JSON.parse(line)).then(watch, (error) => {
      process.stderr.write(`${error.stack}\n`);
      process.exit(1);
    });
  } else if (line === "begin") lags = [];
  else say({ event: "measured", lags_ms: lags.sort((a, b) => a - b) });
});
lines.on("close", () => process.exit(0));
