// Reads, writes, calls and watches what a careless client would: node-opcua.
//   node opcua_requests.mjs URL FOLDER VIEWER_PASSWORD PASSWORD
// FOLDER as in opcua_client.mjs; PASSWORD is that of the users "operator" and "engineer". Says {"event":"watching"} when it
// watches Params.Oven.Temp of Line1.Cam1 with a deadband of 10 % and the events of Line2.Cam1, and ends with all its answers as
// one JSON line when the oven is at 210 and a result was told.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { NumericRange } = require("node-opcua-numeric-range");
const { constructEventFilter, ofType } = require("node-opcua-service-filter");
const [url, folder, viewer, password] = process.argv.slice(2);
const { AttributeIds, DataType, StatusCodes, VariantArrayType } = opcua;
const say = (answer) => new Promise((done) => process.stdout.write(`${JSON.stringify(answer)}\n`, done));
const at = (path) => `ns=2;s=Line1.Cam1.${path}`;

const certificates = new OPCUACertificateManager({ rootFolder: join(folder, "pki"), automaticallyAcceptUnknownCertificate: false });
await certificates.initialize();
await certificates.trustCertificate(readFileSync(join(folder, "server.der")));

async function as(userName, secret, work) {
  const client = opcua.OPCUAClient.create({
    applicationName: "peer",
    applicationUri: "urn:client",
    certificateFile: join(folder, "client.pem"),
    privateKeyFile: join(folder, "client.key"),
    clientCertificateManager: certificates,
    securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
    securityPolicy: opcua.SecurityPolicy.Aes128_Sha256_RsaOaep,
    endpointMustExist: false,
    keepSessionAlive: false,
    connectionStrategy: { maxRetry: 0 },
  });
  await client.connect(url);
  const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName, password: secret });
  const done = await work(session);
  await session.close();
  await client.disconnect();
  return done;
}

const variant = (dataType, value) => ({ dataType, value });
const CAUSE = [variant(DataType.Int32, 0), variant(DataType.String, "tidy")];

async function write(session, path, dataType, value, more = {}) {
  const { indexRange, ...rest } = more;
  const range = indexRange ? new NumericRange(indexRange) : undefined;
  return (await session.write({ nodeId: at(path), attributeId: AttributeIds.Value, indexRange: range, value: { value: { dataType, value, ...rest } } })).name;
}

const written = async (session) => ({
  level: (await session.read({ nodeId: at("Tags.Params.Oven_Temp"), attributeId: AttributeIds.UserAccessLevel })).value.value,
  value: await write(session, "Tags.Params.Oven_Temp", DataType.Float, 185.5),
});

async function call(session, object, method, inputArguments) {
  const result = await session.call({ objectId: at(object), methodId: method.includes("=") ? method : at(`${object}.${method}`), inputArguments });
  return { status: result.statusCode.name, inputs: (result.inputArgumentResults ?? []).map((s) => s.name), outputs: result.outputArguments ?? [] };
}

const told = ({ status, inputs }) => (inputs.length ? [status, inputs] : status);

async function parts(session) {
  const answers = {};
  for (const range of ["0:1", "1", "14:99", "16", "16:20", "1:0", "x", "0:1,0:1"]) {
    const nodeId = at("Tags.Defects.Class");
    const { value, statusCode } = await session.read({ nodeId, attributeId: AttributeIds.Value, indexRange: new NumericRange(range) });
    answers[range] = statusCode.isGood() ? value.value : statusCode.name;
  }
  const { statusCode } = await session.read({ nodeId: at("Tags.Result.Seq"), attributeId: AttributeIds.Value, indexRange: new NumericRange("0") });
  return { ...answers, scalar: statusCode.name };
}

async function structures(session) {
  const { value } = await session.read({ nodeId: at("ResultManagement.Results.Last"), attributeId: AttributeIds.Value });
  const result = value.value;
  const external = await session.constructExtensionObject(opcua.resolveNodeId("ns=3;i=3002"), { id: "" });
  const product = await session.constructExtensionObject(opcua.resolveNodeId("ns=3;i=3003"), { id: "" });
  const ask = (state) => [
    variant(DataType.ExtensionObject, external),
    variant(DataType.ExtensionObject, product),
    variant(DataType.Int32, state),
    variant(DataType.UInt32, 0),
    variant(DataType.UInt32, 0),
    variant(DataType.Int32, 0),
  ];
  const list = (state) => call(session, "RecipeManagement", "GetRecipeListFiltered", ask(state));
  const listed = await list(2);
  const id = variant(DataType.ExtensionObject, await session.constructExtensionObject(opcua.resolveNodeId("ns=3;i=3021"), { id: "Line1-0000BEEF-999" }));
  const none = variant(DataType.Int32, 0);
  const byId = async (...inputs) => told(await call(session, "ResultManagement", "GetResultById", inputs));
  return {
    last: [result.schema.name, result.resultId.id, result.internalRecipeId.version, result.resultContent.map((v) => (ArrayBuffer.isView(v.value) ? [...v.value] : v.value))],
    recipes: [listed.status, listed.outputs[3].value.map((r) => [r.schema.name, r.id, r.version])],
    calls: {
      unknownResult: await byId(id, none),
      tooFew: await byId(id),
      tooMany: await byId(id, none, none),
      wrongType: await byId(id, variant(DataType.UInt32, 0)),
      wrongStructure: await byId(variant(DataType.ExtensionObject, product), none),
      noStructure: await byId(variant(DataType.String, "Line1-0000BEEF-41"), none),
      array: await byId(id, { dataType: DataType.Int32, arrayType: VariantArrayType.Array, value: [0] }),
      outOfRange: told(await list(3)),
      unknownMethod: told(await call(session, "ResultManagement", "GetNothing", [])),
      otherObject: told(await call(session, "RecipeManagement", at("ResultManagement.GetResultById"), [id, none])),
    },
  };
}

// What may be called, by what the node says and by what happens.
async function mayCall(session) {
  const answers = {};
  for (const name of ["Halt", "Reset"]) {
    const flags = await session.read([AttributeIds.Executable, AttributeIds.UserExecutable].map((attributeId) => ({ nodeId: at(`VisionStateMachine.${name}`), attributeId })));
    answers[name] = [...flags.map((f) => f.value.value), told(await call(session, "VisionStateMachine", name, CAUSE))];
  }
  return answers;
}

async function watch(session) {
  const subscription = await session.createSubscription2({ requestedPublishingInterval: 100, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, publishingEnabled: true });
  const seen = { oven: [], transitions: [], results: [] };
  let look = () => {};
  const deadband = (deadbandValue) => new opcua.DataChangeFilter({ trigger: opcua.DataChangeTrigger.StatusValue, deadbandType: opcua.DeadbandType.Percent, deadbandValue });
  const item = async (nodeId, attributeId, filter, take) => {
    const made = await subscription.monitor({ nodeId, attributeId }, { filter, queueSize: 100, discardOldest: true, samplingInterval: 0 }, opcua.TimestampsToReturn.Both);
    made.on("changed", (data) => { take(data); look(); });
    return made.statusCode.name;
  };
  const refused = (path, percent) => item(at(path), AttributeIds.Value, deadband(percent), () => {}).catch((error) => error.message);
  const station = "ns=2;s=Line2.Cam1";
  const events = (type, into, ...fields) => item(station, AttributeIds.EventNotifier, constructEventFilter(["EventType", ...fields], ofType(type)), ([kind, ...values]) => into.push([kind.value.toString(), ...values.map((v) => v.value?.id ?? null)]));
  const made = {
    oven: await item(at("Tags.Params.Oven_Temp"), AttributeIds.Value, deadband(10), (data) => seen.oven.push(data.value.value)),
    tooWide: await refused("Tags.Params.Oven_Temp", 101),
    noRange: await refused("Tags.Params.Speed", 10),
    noNumber: await refused("Tags.Result.Label", 10),
    transitions: await events("TransitionEventType", seen.transitions),
    results: await events("ns=3;i=1024", seen.results, "3:ResultId"),
  };
  await say({ event: "watching" });
  await new Promise((done) => {
    look = () => seen.oven.at(-1) === 210 && seen.results.length && seen.transitions.length && done();
    look();
  });
  await subscription.terminate();
  return { made, ...seen };
}

const analog = async (session) => {
  const item = await opcua.readUAAnalogItem(session, at("Tags.Params.Oven_Temp"));
  return { range: [item.engineeringUnitsRange.low, item.engineeringUnitsRange.high], unit: item.engineeringUnits.displayName.text, unitId: item.engineeringUnits.unitId };
};

const answers = {
  observer: await as("viewer", viewer, async (session) => ({
    written: await written(session),
    parts: await parts(session),
    structures: await structures(session),
    mayCall: await mayCall(session),
    analog: await analog(session),
    watched: await watch(session),
  })),
  operator: await as("operator", password, async (session) => ({ written: await written(session), mayCall: await mayCall(session) })),
  engineer: await as("engineer", password, async (session) => ({
    written: await written(session),
    mayCall: await mayCall(session),
    tooHot: await write(session, "Tags.Params.Oven_Temp", DataType.Float, 300.5),
    wrongType: await write(session, "Tags.Params.Oven_Temp", DataType.Double, 185.5),
    part: await write(session, "Tags.Params.Oven_Temp", DataType.Float, 185.5, { indexRange: "0" }),
    partOfArray: await write(session, "Tags.Defects.Class", DataType.String, ["x"], { arrayType: VariantArrayType.Array, indexRange: "0" }),
    noRange: await write(session, "Tags.Params.Speed", DataType.Float, 12),
  })),
};
await say(answers);
process.exit(0);
