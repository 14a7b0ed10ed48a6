// Reads a tag's past as node-opcua does, page by page, over a channel that is signed and encrypted.
//   node opcua_history.mjs URL STATION FOLDER PASSWORD START END
// FOLDER as for opcua_client.mjs; START and END in ISO 8601. Ends with all its answers as one JSON line.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const [url, station, folder, password, start, end] = process.argv.slice(2);

const certificates = new OPCUACertificateManager({ rootFolder: join(folder, "pki"), automaticallyAcceptUnknownCertificate: false });
await certificates.initialize();
await certificates.trustCertificate(readFileSync(join(folder, "server.der")));
const client = opcua.OPCUAClient.create({
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
await client.connect(url);
const session = await client.createSession({ type: opcua.UserTokenType.UserName, userName: "viewer", password });

const tag = (name) => `ns=2;s=${station}.Tags.${name}`;
const details = (from, to, count, bounds = false) =>
  new opcua.ReadRawModifiedDetails({ isReadModified: false, startTime: from, endTime: to, numValuesPerNode: count, returnBounds: bounds });

async function page(name, asked, continuationPoint, release = false) {
  const request = new opcua.HistoryReadRequest({
    historyReadDetails: asked,
    timestampsToReturn: opcua.TimestampsToReturn.Both,
    releaseContinuationPoints: release,
    nodesToRead: [{ nodeId: tag(name), continuationPoint }],
  });
  const [result] = (await session.historyRead(request)).results;
  return {
    status: result.statusCode.name,
    values: (result.historyData?.dataValues ?? []).map((v) => [v.value?.value ?? null, v.sourceTimestamp.toISOString(), v.statusCode.name]),
    point: result.continuationPoint?.length ? result.continuationPoint : undefined,
  };
}

async function pages(name, asked) {
  const told = [];
  let point, count = 0;
  do {
    const one = await page(name, asked, point);
    if (one.status !== "Good") return { status: one.status };
    told.push(...one.values);
    point = one.point;
    count += 1;
  } while (point);
  return { told, count };
}

const from = new Date(start), to = new Date(end);
const answers = {};
answers.plain = (await session.readHistoryValue(tag("Result.PartId"), from, to, { numValuesPerNode: 5, returnBounds: false, isReadModified: false, timestampsToReturn: opcua.TimestampsToReturn.Both })).historyData.dataValues.map((v) => v.value.value);
answers.forward = await pages("Result.PartId", details(from, to, 7));
answers.backward = await pages("Counters.Total", details(to, from, 0));
answers.bounds = await page("Result.PartId", details(new Date(from.getTime() - 1000), new Date(from.getTime() + 500), 0, true));
const first = await page("Result.Ok", details(from, to, 3));
answers.released = (await page("Result.Ok", details(from, to, 3), first.point, true)).status;
answers.gone = (await page("Result.Ok", details(from, to, 3), first.point)).status;
answers.none = (await page("Status.Fps", details(from, to, 3))).status;
const level = await session.read({ nodeId: tag("Result.Ok"), attributeId: opcua.AttributeIds.Historizing });
answers.historizing = level.value.value;
await session.close();
await client.disconnect();
await new Promise((done) => process.stdout.write(`${JSON.stringify(answers)}\n`, done));
process.exit(0);
