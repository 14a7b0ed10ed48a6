// Reads one value of a Machine Vision structure with node-opcua, which has its types from the server alone.
//   node mv_reader.mjs URL NODEID FOLDER   → one JSON line; its keys lie in FOLDER
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const [url, nodeId, folder] = process.argv.slice(2);
const clientCertificateManager = new OPCUACertificateManager({ rootFolder: folder });
await clientCertificateManager.initialize();
const client = opcua.OPCUAClient.create({ clientCertificateManager, endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
await client.connect(url);
const session = await client.createSession();
const { value, statusCode } = await session.read({ nodeId, attributeId: opcua.AttributeIds.Value });
const result = value.value;
const answer = {
  status: statusCode.name,
  type: result.schema.name,
  id: result.resultId.id,
  partial: result.isPartial,
  state: result.resultState,
  recipe: [result.internalRecipeId.schema.name, result.internalRecipeId.id, result.internalRecipeId.version, result.internalRecipeId.hash.toString("hex")],
  absent: [result.measId ?? null, result.isSimulated ?? null],
  part: result.partId.id,
  created: result.creationTime.toISOString(),
  took: result.processingTimes.processingDuration,
  content: result.resultContent.map((v) => v.value ?? v),
};
await session.close();
await client.disconnect();
process.stdout.write(`${JSON.stringify(answer)}\n`);
