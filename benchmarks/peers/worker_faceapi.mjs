// face-api in the race: detection, landmarks and expressions as its tutorial chains them for frames, its expression
// network alone for crops, on the WebAssembly backend. The argument `tiny` takes its tiny detector instead of the default.

import path from 'node:path';
import { largest, packages, require, serve } from './worker_loop.mjs';

/** Its names of the seven, by ours. */
const NAMES = { angry: 'angry', disgust: 'disgusted', fear: 'fearful', happy: 'happy', neutral: 'neutral', sad: 'sad', surprise: 'surprised' };

function inOurNames(expressions) {
  return Object.fromEntries(Object.entries(NAMES).map(([ours, theirs]) => [ours, expressions[theirs]]));
}

class FaceApiReader {
  constructor(tiny) {
    this.tiny = tiny;
  }

  async open() {
    require('@tensorflow/tfjs');
    const wasm = require('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(packages, '@tensorflow/tfjs-backend-wasm/dist/'));
    this.faceapi = require(path.join(packages, '@vladmandic/face-api/dist/face-api.node-wasm.js'));
    this.tf = this.faceapi.tf;
    await this.tf.setBackend('wasm');
    await this.tf.ready();
    const models = path.join(packages, '@vladmandic/face-api/model');
    const { ssdMobilenetv1, tinyFaceDetector, faceLandmark68Net, faceExpressionNet } = this.faceapi.nets;
    for (const net of [this.tiny ? tinyFaceDetector : ssdMobilenetv1, faceLandmark68Net, faceExpressionNet]) await net.loadFromDisk(models);
    const { SsdMobilenetv1Options, TinyFaceDetectorOptions } = this.faceapi;
    this.options = this.tiny ? new TinyFaceDetectorOptions() : new SsdMobilenetv1Options(); // what it takes when nothing is said
    return this;
  }

  about() {
    const detector = this.tiny ? 'the tiny detector' : 'its default detector, SSD MobileNet v1';
    return { note: `WebAssembly backend, detectAllFaces().withFaceLandmarks().withFaceExpressions() with ${detector}` };
  }

  begin() {} // it holds nothing from frame to frame

  /** It takes colours only: grey crops get three equal ones. */
  tensor(pixels, shape) {
    if (shape.length === 3) return this.tf.tensor3d(pixels, shape, 'int32');
    return this.tf.tidy(() => this.tf.tile(this.tf.tensor3d(pixels, [...shape, 1], 'int32'), [1, 1, 3]));
  }

  async readFace(face) {
    return inOurNames(await this.faceapi.nets.faceExpressionNet.predictExpressions(face));
  }

  async readFrame(frame) {
    const found = await this.faceapi.detectAllFaces(frame, this.options).withFaceLandmarks().withFaceExpressions();
    const first = largest(found.map((face) => face.detection.box));
    return first < 0 ? null : inOurNames(found[first].expressions);
  }
}

await serve(() => new FaceApiReader(process.argv[2] === 'tiny').open());
