// Worker for face-api: detection, landmarks and expressions as in its tutorial for frames, its expression network alone
// for crops, on the WebAssembly backend. The argument `tiny` selects its tiny detector instead of the default.

import path from 'node:path';
import { largest, packages, require, serve } from './worker_loop.mjs';

/** Its class names by Mien's. */
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
    this.options = this.tiny ? new TinyFaceDetectorOptions() : new SsdMobilenetv1Options(); // its default
    return this;
  }

  about() {
    const detector = this.tiny ? 'the tiny detector' : 'its default detector, SSD MobileNet v1';
    return { note: `WebAssembly backend, detectAllFaces().withFaceLandmarks().withFaceExpressions() with ${detector}` };
  }

  begin() {} // it keeps no state between frames

  /** It accepts colour only: grey crops get three equal channels. */
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
