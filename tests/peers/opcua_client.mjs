// An OPC UA client that is not ours: node-opcua, over a channel that is signed and encrypted, with a user name.
//   node opcua_client.mjs URL STATION FOLDER PASSWORD
// FOLDER holds the client's certificate and key (client.pem, client.key) and the server's certificate (server.der). Says
// {"event":"watching"} when it is subscribed to the results, and ends with all its answers as one JSON line as soon as a
// result with CommitSeq 2 has come.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const [url, station, folder, password] = process.argv.slice(2);
const { AttributeIds, BrowseDirection, ClientMonitoredItemGroup, DataType, MessageSecurityMode, SecurityPolicy } = opcua;
const say = (answer) => new Promise((done) => process.stdout.write(`${JSON.stringify(answer)}\n`, done));

function client(policy, mode, more = {}) {
  return opcua.OPCUAClient.create({
    applicationName: "peer",
    applicationUri: "urn:client",
    certificateFile: join(folder, "client.pem"),
    privateKeyFile: join(folder, "client.key"),
    clientCertificateManager: certificates,
    securityMode: mode,
    securityPolicy: policy,
    endpointMustExist: false,
    keepSessionAlive: false,
    connectionStrategy: { maxRetry: 0 },
    ...more,
  });
}

// Only the server's own certificate is trusted: were another one shown, there would be no connection.
const certificates = new OPCUACertificateManager({ rootFolder: join(folder, "pki"), automaticallyAcceptUnknownCertificate: false });
await certificates.initialize();
await certificates.trustCertificate(readFileSync(join(folder, "server.der")));

async function attempt(connect) {
  try {
    await connect();
    return "let in";
  } catch (error) {
    return error.message;
  }
}

const plain = (value) => {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return value.toISOString();
  if (value.text !== undefined) return value.text;
  if (value.low !== undefined) return [value.low, value.high];
  if (value.unitId !== undefined) return { unitId: value.unitId, text: value.displayName.text, namespace: value.namespaceUri };
  return value;
};

// A tag's value as the client has it, with everything that makes it trustworthy or not.
const seen = (data) => ({
  value: plain(data.value?.value),
  type: DataType[data.value?.dataType ?? 0],
  status: data.statusCode.name,
  source: data.sourceTimestamp?.toISOString() ?? null,
  server: data.serverTimestamp?.toISOString() ?? null,
});

async function walk(session, nodeId, path, found) {
  const result = await session.browse({ nodeId, browseDirection: BrowseDirection.Forward, referenceTypeId: "HierarchicalReferences", includeSubtypes: true, resultMask: 63 });
  for (const reference of result.references ?? []) {
    const name = path ? `${path}.${reference.browseName.name}` : reference.browseName.name;
    if (reference.nodeClass === opcua.NodeClass.Variable) found[name] = reference.nodeId.toString();
    await walk(session, reference.nodeId, name, found);
  }
  return found;
}

async function everything(user) {
  const answers = {};
  const policy = SecurityPolicy.Aes256_Sha256_RsaPss;
  const one = client(policy, MessageSecurityMode.SignAndEncrypt);
  await one.connect(url);
  const session = await one.createSession(user);
  answers.channel = { policy: one.securityPolicy.split("#")[1], mode: MessageSecurityMode[one.securityMode] };
  answers.namespaces = await session.readNamespaceArray();
  answers.nodes = await walk(session, `ns=2;s=${station}`, "", {});
  const names = Object.keys(answers.nodes);
  const read = await session.read(names.map((n) => ({ nodeId: answers.nodes[n], attributeId: AttributeIds.Value })));
  answers.values = Object.fromEntries(names.map((n, i) => [n, seen(read[i])]));
  const tag = (name) => answers.nodes[`Tags.${name}`];
  const write = (name, dataType, value) => session.write({ nodeId: tag(name), attributeId: AttributeIds.Value, value: { value: { dataType, value } } });
  answers.writes = {
    ok: (await write("Result.Ok", DataType.Boolean, true)).name,
    param: (await write("Params.Speed", DataType.Float, 99)).name,
  };
  const subscription = await session.createSubscription2({ requestedPublishingInterval: 100, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10, publishingEnabled: true });
  answers.publishingInterval = subscription.publishingInterval;
  const watched = ["Result.Seq", "Result.PartId", "Result.Ok", "Result.CommitSeq"];
  const group = ClientMonitoredItemGroup.create(
    subscription,
    watched.map((n) => ({ nodeId: tag(n), attributeId: AttributeIds.Value })),
    { samplingInterval: 0, queueSize: 10, discardOldest: true },
    opcua.TimestampsToReturn.Both,
  );
  answers.watched = Object.fromEntries(watched.map((n) => [n, []]));
  const committed = new Promise((done) => {
    group.on("changed", (item, data, index) => {
      answers.watched[watched[index]].push(seen(data));
      if (watched.every((n) => answers.watched[n].length)) void say({ event: "watching" });
      if (watched[index] === "Result.CommitSeq" && data.value.value === 2) done();
    });
  });
  await committed;
  await subscription.terminate();
  await session.close();
  await one.disconnect();
  return answers;
}

const user = (secret) => ({ type: opcua.UserTokenType.UserName, userName: "viewer", password: secret });
const refused = {
  withoutSecurity: await attempt(async () => {
    const one = client(SecurityPolicy.None, MessageSecurityMode.None);
    try {
      await one.connect(url);
      await one.createSession(user(password));
    } finally {
      await one.disconnect();
    }
  }),
  anonymous: await attempt(async () => {
    const one = client(SecurityPolicy.Basic256Sha256, MessageSecurityMode.SignAndEncrypt);
    try {
      await one.connect(url);
      await one.createSession();
    } finally {
      await one.disconnect();
    }
  }),
  wrongPassword: await attempt(async () => {
    const one = client(SecurityPolicy.Aes128_Sha256_RsaOaep, MessageSecurityMode.SignAndEncrypt);
    try {
      await one.connect(url);
      await one.createSession(user(`${password}x`));
    } finally {
      await one.disconnect();
    }
  }),
};
await say({ ...(await everything(user(password))), refused });
process.exit(0);
