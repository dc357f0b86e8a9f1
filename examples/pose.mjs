// Sends an image to poseserve with Node's own fetch (Node 18.11 or later), prints the people found as JSON:
//
//     node pose.mjs --score-threshold 0.4 --url http://127.0.0.1:8000 image.jpg

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

const HEADER_LENGTH = "Inference-Header-Content-Length";

/** The body of a request, and the length of the JSON at its start. */
function write(image, threshold) {
  if (threshold === undefined) return { body: image, jsonLength: 0 }; // the image alone has no place for parameters
  const json = Buffer.from(JSON.stringify({
    inputs: [{ name: "IMAGE", datatype: "BYTES", shape: [1], parameters: { binary_data_size: 4 + image.length } }],
    parameters: { score_threshold: threshold, binary_data_output: true },
  }));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(image.length);
  return { body: Buffer.concat([json, size, image]), jsonLength: json.length };
}

/** The outputs by their names: JSON describes them, their bytes follow in the same order. */
function read(answer, jsonLength) {
  const tensors = {};
  let start = jsonLength;
  for (const { name, datatype, shape, parameters } of JSON.parse(answer.subarray(0, jsonLength)).outputs) {
    const bytes = answer.subarray(start, (start += parameters.binary_data_size));
    if (datatype === "FP32") tensors[name] = nest(shape, new Float32Array(Uint8Array.from(bytes).buffer));
    if (datatype === "BYTES") tensors[name] = bytes.toString("utf8", 4); // one text; 4 bytes before it are its length
  }
  return tensors;
}

/** A flat array as arrays in arrays. */
function nest([length, ...inner], values) {
  if (inner.length === 0) return Array.from(values);
  const size = values.length / length;
  return Array.from({ length }, (_, i) => nest(inner, values.subarray(i * size, (i + 1) * size)));
}

async function pose(image, { url, "score-threshold": threshold }) {
  const { body, jsonLength } = write(image, threshold);
  const headers = { "Content-Type": "application/octet-stream", [HEADER_LENGTH]: String(jsonLength) };
  const answer = await fetch(`${url}/v2/models/pose/infer`, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`); // says what is accepted
  const tensors = read(Buffer.from(await answer.arrayBuffer()), Number(answer.headers.get(HEADER_LENGTH)));
  const people = tensors.BOXES.map((box, i) => ({ box, score: tensors.SCORES[i], keypoints: tensors.KEYPOINTS[i] }));
  return { keypoint_set: tensors.KEYPOINT_SET, people };
}

const options = { url: { type: "string", default: "http://127.0.0.1:8000" }, "score-threshold": { type: "string" } };
try {
  const { values, positionals: [file] } = parseArgs({ options, allowPositionals: true });
  if (!file) throw new Error("usage: node pose.mjs [--score-threshold NUMBER] [--url URL] IMAGE");
  console.log(JSON.stringify(await pose(await readFile(file), values)));
} catch (error) {
  console.error(error.cause?.message || error.message);
  process.exitCode = 1;
}
