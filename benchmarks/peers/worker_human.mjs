// Worker for Human: its `detect()` for frames, its emotion network alone for crops, on the WebAssembly backend.
//
// Only the modules that expressions need are enabled (face detection, mesh, emotion), which is in its favour; all other
// settings are defaults. Its frame cache is on for videos and off for unrelated pictures.

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packages, require, serve } from './worker_loop.mjs';

const off = { enabled: false };
const NAMES = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];

class HumanReader {
  async open() {
    require('@tensorflow/tfjs-backend-wasm');
    const { Human } = require(path.join(packages, '@vladmandic/human/dist/human.node-wasm.js'));
    this.human = new Human({
      backend: 'wasm',
      wasmPath: path.join(packages, '@tensorflow/tfjs-backend-wasm/dist/'),
      modelBasePath: `${pathToFileURL(path.join(packages, '@vladmandic/human/models'))}/`,
      face: { iris: off, description: off },
      body: off,
      hand: off,
      gesture: off,
    });
    this.cached = '';
    this.cacheSensitivity = this.human.config.cacheSensitivity;
    await this.human.load();
    this.tf = this.human.tf;
    this.emotion = this.human.models.models.emotion;
    return this;
  }

  about() {
    return { note: `WebAssembly backend, detect() with only face, mesh and emotion on${this.cached}` };
  }

  begin(video) {
    if (!video && !this.cached) {
      const { cachedFrames, totalFrames } = this.human.performance;
      this.cached = `; its cache was used for ${cachedFrames} of ${totalFrames} frames of the clips`;
    }
    this.human.config.cacheSensitivity = video ? this.cacheSensitivity : 0;
  }

  tensor(pixels, shape) {
    return this.tf.tensor(pixels, shape, 'int32');
  }

  /** The steps of Human's emotion module: enlarged to 64x64, grey, -1 to 1. */
  async readFace(face) {
    const { tf } = this;
    const answer = tf.tidy(() => {
      const resized = tf.image.resizeBilinear(tf.div(tf.expandDims(tf.expandDims(face, 0), 3), 255), [64, 64], false);
      return this.emotion.execute(tf.mul(tf.sub(resized, 0.5), 2));
    });
    const scores = await answer.data();
    answer.dispose();
    return Object.fromEntries(NAMES.map((name, k) => [name, scores[k]]));
  }

  async readFrame(frame) {
    const { face } = await this.human.detect(frame);
    const emotion = face[0]?.emotion; // at most one face, by default
    if (!emotion?.length) return null;
    // its answer omits unlikely expressions
    return { ...Object.fromEntries(NAMES.map((name) => [name, 0])), ...Object.fromEntries(emotion.map((one) => [one.emotion, one.score])) };
  }
}

await serve(() => new HumanReader().open());
