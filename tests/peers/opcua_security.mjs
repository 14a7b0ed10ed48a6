// Knocks with certificates of any worth, under each policy and mode: node-opcua.
//   node opcua_security.mjs URL FOLDER PASSWORD
// FOLDER holds a sound certificate and its key (client.pem, client.key), the server's certificate (server.der), and below shown/
// what to show in the place of the sound one: NAME.der, an empty file for no certificate. Whatever is shown, it is signed with
// client.key and the application is urn:client. Ends with one JSON line: {NAME: {"POLICY MODE": outcome}}; the outcome is
// "let in", the status that the server has answered, or "closed" when it has hung up without one.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { join, parse } from "node:path";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const [url, folder, password] = process.argv.slice(2);
const { MessageSecurityMode, SecurityPolicy, StatusCodes } = opcua;
const POLICIES = ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"];

// node-opcua keeps the status of an error message (ERR) to itself, so the bytes are looked at on their way.
let ended = null;
const relay = net.createServer((near) => {
  const far = net.connect(Number(new URL(url).port), "127.0.0.1");
  far.on("data", (body) => {
    if (body.toString("latin1", 0, 3) === "ERR") ended = Object.values(StatusCodes).find((s) => s.value === body.readUInt32LE(8)).name;
  });
  for (const [one, other] of [[near, far], [far, near]]) one.on("error", () => other.destroy()).pipe(other);
});
await new Promise((done) => relay.listen(0, "127.0.0.1", done));

const serverCertificate = readFileSync(join(folder, "server.der"));
const certificates = new OPCUACertificateManager({ rootFolder: join(folder, "pki"), automaticallyAcceptUnknownCertificate: false });
await certificates.initialize();
await certificates.trustCertificate(serverCertificate);

async function outcome(shown, policy, mode) {
  const client = opcua.OPCUAClient.create({
    applicationName: "peer",
    applicationUri: "urn:client",
    certificateFile: join(folder, "client.pem"),
    privateKeyFile: join(folder, "client.key"),
    clientCertificateManager: certificates,
    serverCertificate,
    securityPolicy: SecurityPolicy[policy],
    securityMode: MessageSecurityMode[mode],
    endpointMustExist: false,
    keepSessionAlive: false,
    connectionStrategy: { maxRetry: 0 },
  });
  // It checks its own certificate and key before it connects, so another one takes the place only after that.
  const checked = client.initializeCM.bind(client);
  client.initializeCM = async () => {
    await checked();
    client.getCertificate = client.getCertificateChain = () => shown;
    client._getApplicationUri = () => "urn:client";
  };
  ended = null;
  try {
    await client.connect(`opc.tcp://127.0.0.1:${relay.address().port}/`);
    const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName: "viewer", password });
    await session.close();
    return "let in";
  } catch (error) {
    const told = ended ?? /\bBad[A-Z]\w+/.exec(error.message)?.[0];
    if (!told && !/disconnected by third party/.test(error.message)) throw error; // it is the client that did not want to
    return told ?? "closed";
  } finally {
    await client.disconnect();
  }
}

const answers = {};
for (const file of readdirSync(join(folder, "shown"))) {
  const shown = readFileSync(join(folder, "shown", file));
  const got = (answers[parse(file).name] = {});
  for (const policy of POLICIES) for (const mode of ["Sign", "SignAndEncrypt"]) got[`${policy} ${mode}`] = await outcome(shown, policy, mode);
}
await new Promise((done) => process.stdout.write(`${JSON.stringify(answers)}\n`, done));
process.exit(0);
