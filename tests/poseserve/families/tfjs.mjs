// What TensorFlow.js, the runtime that the models were made for, answers: see tfjs_reference.py.
// node tfjs.mjs PACKAGES MODEL.json INPUT SHAPE int32|float32 NODE,NODE... OUTPUT
import fs from "node:fs";
import { createRequire } from "node:module";

const [packages, model, input, shape, dtype, nodes, output] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");

const bytes = (file) => Uint8Array.from(fs.readFileSync(file)).buffer;
const { modelTopology, format, weightsManifest } = JSON.parse(fs.readFileSync(model));
const weightData = bytes(model.replace(/json$/, "bin"));
const graph = await loadGraphModel({
  load: async () => ({ modelTopology, format, weightSpecs: weightsManifest[0].weights, weightData }),
});
const values = new (dtype === "int32" ? Int32Array : Float32Array)(bytes(input));
const answers = graph.execute(tf.tensor(values, shape.split(",").map(Number), dtype), nodes.split(","));
fs.writeFileSync(output, JSON.stringify([answers].flat().map((x) => [x.shape, Array.from(x.dataSync())])));
