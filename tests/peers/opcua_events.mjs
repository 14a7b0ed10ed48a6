// A client of events and conditions that is not ours: node-opcua.
//   node opcua_events.mjs URL STATION FOLDER PASSWORD
// FOLDER as in opcua_client.mjs; the password is that of the user "operator". Says {"event":"watching"} when it monitors the
// events of conditions; when it has been told of the alarm CAMERA it acknowledges, comments and confirms it, finds what is
// retained by a refresh, and ends with all its answers as one JSON line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { callConditionRefresh, extractConditionFields, fieldsToJson, findActiveConditions } = require("node-opcua-alarm-condition");
const { ContentFilter, ContentFilterElement, FilterOperator, LiteralOperand, constructEventFilter, ofType } = require("node-opcua-service-filter");
const [url, station, folder, password] = process.argv.slice(2);
const { AttributeIds, DataType } = opcua;
const say = (answer) => new Promise((done) => process.stdout.write(`${JSON.stringify(answer)}\n`, done));

const certificates = new OPCUACertificateManager({ rootFolder: join(folder, "pki"), automaticallyAcceptUnknownCertificate: false });
await certificates.initialize();
await certificates.trustCertificate(readFileSync(join(folder, "server.der")));

const one = opcua.OPCUAClient.create({
  applicationName: "peer",
  applicationUri: "urn:client",
  certificateFile: join(folder, "client.pem"),
  privateKeyFile: join(folder, "client.key"),
  clientCertificateManager: certificates,
  securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
  securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
  endpointMustExist: false,
  keepSessionAlive: false,
  connectionStrategy: { maxRetry: 0 },
});
await one.connect(url);
const session = await one.createSession({ type: opcua.UserTokenType.UserName, userName: "operator", password });
const subscription = await session.createSubscription2({ requestedPublishingInterval: 100, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, publishingEnabled: true });

const answers = { events: [] };
const fields = await extractConditionFields(session, "AcknowledgeableConditionType");
answers.fields = fields.length;
const waiting = [];

// What a condition's event says, in plain values.
function plain(event) {
  const told = fieldsToJson(fields, event);
  return {
    type: told.eventType.value.toString(),
    id: told.eventId.value,
    condition: told.conditionId?.value?.toString() ?? null,
    name: told.conditionName?.value ?? null,
    message: told.message.value.text,
    severity: told.severity.value,
    retain: told.retain?.value ?? null,
    acked: told.ackedState?.id?.value ?? null,
    confirmed: told.confirmedState?.id?.value ?? null,
    comment: told.comment?.value?.text ?? null,
    user: told.clientUserId?.value ?? null,
  };
}

async function monitor(filter) {
  const item = await subscription.monitor({ nodeId: "i=2253", attributeId: AttributeIds.EventNotifier }, { filter, queueSize: 100, discardOldest: true, samplingInterval: 0 }, opcua.TimestampsToReturn.Both);
  answers.monitoring = item.statusCode.name;
  item.on("changed", (event) => {
    answers.events.push(plain(event));
    waiting.forEach((look) => look());
  });
  return item;
}

function until(enough) {
  return new Promise((done) => {
    const look = () => enough(answers.events) && done(answers.events.at(-1));
    waiting.push(look);
    look();
  });
}

await monitor(constructEventFilter(fields, ofType("AcknowledgeableConditionType")));
void say({ event: "watching" });

const came = await until((events) => events.length >= 1);
answers.unknownEvent = (await session.acknowledgeCondition(came.condition, Buffer.alloc(16), "no")).name;
answers.acknowledged = (await session.acknowledgeCondition(came.condition, came.id, "seen to it")).name;
const acked = await until((events) => events.length >= 2);
answers.again = (await session.acknowledgeCondition(came.condition, acked.id, "again")).name;
answers.commented = (await session.addCommentCondition(came.condition, acked.id, "another word")).name;
const commented = await until((events) => events.length >= 3);
answers.active = (await findActiveConditions(session)).map((c) => ({ name: c.conditionName.value, acked: c.ackedState.id.value, confirmed: c.confirmedState.id.value }));
answers.confirmed = (await session.confirmCondition(came.condition, commented.id, "")).name;
await until((events) => events.length >= 4);

// A refresh of this subscription: its start and end come although the filter is for conditions alone.
answers.refreshed = (await callConditionRefresh(session, subscription.subscriptionId)).name;
await until((events) => events.at(-1).type === "ns=0;i=2788");
answers.refresh = answers.events.slice(4).map((e) => e.name ?? e.type);
answers.foreignRefresh = (await callConditionRefresh(session, 4711)).name;

// A where clause that this server cannot take.
const wrong = new ContentFilter({ elements: [new ContentFilterElement({ filterOperator: FilterOperator.OfType, filterOperands: [new LiteralOperand({ value: { dataType: DataType.NodeId, value: opcua.resolveNodeId("FolderType") } })] })] });
try {
  const item = await subscription.monitor({ nodeId: "i=2253", attributeId: AttributeIds.EventNotifier }, { filter: constructEventFilter(["Message"], wrong), queueSize: 10 }, opcua.TimestampsToReturn.Both);
  answers.wrongFilter = item.statusCode?.name ?? "?";
} catch (error) {
  answers.wrongFilter = error.message;
}
answers.events = answers.events.map(({ id, ...rest }) => ({ ...rest, id: id.length }));
await subscription.terminate();
await session.close();
await one.disconnect();
await say(answers);
