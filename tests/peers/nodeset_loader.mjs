// Loads NodeSet2 files into a node-opcua address space and says what it finds of station Line1.Cam1.
//   node nodeset_loader.mjs FILE…   → one JSON line; the station's file is the last
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { AddressSpace } = require("node-opcua-address-space");
const { generateAddressSpace } = require("node-opcua-address-space/nodeJS");
const { nodesets } = require("node-opcua-nodesets");

const space = AddressSpace.create();
await generateAddressSpace(space, [nodesets.standard, ...process.argv.slice(2)]);
const ours = space.getNamespaceIndex("urn:vision-gateway:stations");
const find = (path) => space.findNode(`ns=${ours};s=Line1.Cam1${path}`);
const nodes = [...space.getNamespace(ours).nodeIterator()].map((node) => String(node.nodeId.value));
const oven = find(".Tags.Params.Oven_Temp");
const method = find(".ResultManagement.GetResultById");
const answer = {
  nodes: nodes.sort(),
  type: find("").typeDefinitionObj.browseName.name,
  range: [oven.euRange.readValue().value.value.low, oven.euRange.readValue().value.value.high],
  unit: oven.engineeringUnits.readValue().value.value.displayName.text,
  inputs: method.getInputArguments().map((argument) => argument.name),
  outputs: method.getOutputArguments().map((argument) => argument.name),
  score: [find(".Tags.Defects.Score").valueRank, [...find(".Tags.Defects.Score").arrayDimensions]],
};
space.dispose();
process.stdout.write(`${JSON.stringify(answer)}\n`);
