// Main loop of the Node workers: read requests, pass on pictures one by one, time the peer's call.
// The protocol is that of worker_loop.py; see there for requests and answers.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Folder of the peer, and its `require`. */
export const packages = path.join(process.env.PEER_FOLDER, 'node_modules');
export const require = createRequire(path.join(process.env.PEER_FOLDER, 'package.json'));

for (const name of ['log', 'info', 'warn', 'debug']) console[name] = console.error; // only answers go to standard output

// the WebAssembly builds load models by fetch, and Node's fetch does not read files
const overNetwork = globalThis.fetch;
globalThis.fetch = async (address, options) => {
  const url = String(address);
  return url.startsWith('file:') ? new Response(fs.readFileSync(fileURLToPath(url))) : overNetwork(address, options);
};

/**
 * Answer requests until the input ends; the peer is imported and loaded on the first.
 *
 * A reader has `about()`, `begin(video)`, `tensor(pixels, shape)`, `readFace(tensor)` and `readFrame(tensor)`; the
 * last two return a score for each of the seven names, `readFrame` null if no face was found. Creating the tensor
 * is not timed, because a program with a camera has its frames in another form anyway.
 */
export async function serve(openReader) {
  let reader = null;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    reader ??= await openReader();
    const answer = request.do === 'about' ? reader.about() : await read(reader, request);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

async function read(reader, request) {
  const shape = request.shape.slice(1);
  const size = shape.reduce((product, side) => product * side, 1);
  const pixels = new Uint8Array(size);
  if (request.new) reader.begin(request.video);
  const answer = { scores: [], ms: [] };
  const file = fs.openSync(request.path, 'r');
  try {
    for (let k = 0; k < request.count; k++) {
      fs.readSync(file, pixels, 0, size, (request.first + k) * size);
      const tensor = reader.tensor(pixels, shape);
      const started = performance.now();
      const scores = await (request.do === 'faces' ? reader.readFace(tensor) : reader.readFrame(tensor));
      answer.ms.push(Math.round(1e4 * (performance.now() - started)) / 1e4);
      answer.scores.push(scores && request.order.map((name) => scores[name]));
      tensor.dispose();
    }
  } finally {
    fs.closeSync(file);
  }
  return answer;
}

/** Return the index of the largest box, -1 for none. */
export function largest(boxes) {
  return boxes.reduce((best, box, k) => (best < 0 || box.width * box.height > boxes[best].width * boxes[best].height ? k : best), -1);
}
