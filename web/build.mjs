/**
 * Builds the pages into `mien/web/static/`: one JavaScript file per entry point, file names with a content hash, and
 * brotli and gzip versions of each file. `--package` builds the npm package into `web/dist/` instead.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const STATIC = join(HERE, "..", "mien", "web", "static");
const PACKAGE = join(HERE, "dist");
const CACHE = join(HERE, "node_modules", ".cache", "mien");
const RUNTIME = join(HERE, "node_modules", "onnxruntime-web", "dist", "ort-wasm-simd-threaded.wasm");

const shared = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  absWorkingDir: HERE,
  write: false,
};

/** Return a file's content with a name that contains its hash. */
function named(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 10);
  return { name: name.replace(/(\.[^.]+)$/, `-${hash}$1`), content: Buffer.from(content) };
}

/** Bundle an entry point; chunks keep the names used by their imports. */
async function bundle(entry, define = {}) {
  const built = await build({
    ...shared,
    entryPoints: [entry],
    outdir: STATIC,
    define,
    splitting: true,
    chunkNames: "[name]-[hash]",
  });
  const files = built.outputFiles.map((file) => ({ name: basename(file.path), content: Buffer.from(file.contents) }));
  const main = files.find((file) => file.name === basename(entry).replace(/\.ts$/, ".js"));
  return { main, chunks: files.filter((file) => file !== main) };
}

/** Compress a file; results are cached, since brotli is slow at its highest level. */
function compressed(content, kind) {
  const hash = createHash("sha256").update(content).digest("hex");
  const kept = join(CACHE, `${hash}.${kind}`);
  if (existsSync(kept)) return readFileSync(kept);
  const best = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  const size = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  const made = kind === "br" ? brotliCompressSync(content, { params: { ...best, ...size } }) : gzipSync(content, { level: 9 });
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(kept, made);
  return made;
}

async function buildPages() {
  const worker = await bundle("worker.ts");
  const workerFile = named("worker.js", worker.main.content);
  const wasmFile = named("runtime.wasm", readFileSync(RUNTIME));
  const define = { MIEN_WORKER: JSON.stringify(workerFile.name), MIEN_RUNTIME: JSON.stringify(wasmFile.name) };
  const iconFile = named("icon.svg", readFileSync(join(HERE, "learner", "icon.svg")));
  const pages = [];
  const files = [workerFile, ...worker.chunks, wasmFile, iconFile];
  for (const page of ["learner", "teacher"]) {
    const script = await bundle(`${page}/${page}.ts`, define);
    const scriptFile = named(`${page}.js`, script.main.content);
    const css = await build({ ...shared, entryPoints: [`${page}/${page}.css`], outdir: STATIC });
    const cssFile = named(`${page}.css`, css.outputFiles[0].contents);
    const html = readFileSync(join(HERE, page, "index.html"), "utf-8")
      .replaceAll(`{{${page}.js}}`, `assets/${scriptFile.name}`)
      .replaceAll(`{{${page}.css}}`, `assets/${cssFile.name}`)
      .replaceAll("{{icon.svg}}", `assets/${iconFile.name}`);
    pages.push({ name: `${page}.html`, html });
    files.push(scriptFile, ...script.chunks, cssFile);
  }

  rmSync(STATIC, { recursive: true, force: true });
  mkdirSync(join(STATIC, "assets"), { recursive: true });
  for (const { name, html } of pages) writeFileSync(join(STATIC, name), html);
  writeFileSync(join(STATIC, "assets.json"), `${JSON.stringify({ worker: workerFile.name, runtime: wasmFile.name })}\n`);
  let total = 0;
  for (const { name, content } of files) {
    const target = join(STATIC, "assets", name);
    const [br, gz] = [compressed(content, "br"), compressed(content, "gz")];
    writeFileSync(`${target}.br`, br);
    writeFileSync(`${target}.gz`, gz);
    total += br.length;
    console.log(`${name.padEnd(32)} ${String(content.length).padStart(10)} bytes, ${String(br.length).padStart(9)} with brotli`);
  }
  console.log(`${"all".padEnd(32)} ${"".padStart(10)}       ${String(total).padStart(10)} with brotli`);
}

async function buildPackage() {
  rmSync(PACKAGE, { recursive: true, force: true });
  mkdirSync(PACKAGE, { recursive: true });
  const define = { MIEN_WORKER: '"worker.js"', MIEN_RUNTIME: '"runtime.wasm"' };
  for (const entry of ["worker.ts", "index.ts"]) {
    const { main, chunks } = await bundle(entry, define);
    for (const { name, content } of [main, ...chunks]) writeFileSync(join(PACKAGE, name), content);
  }
  cpSync(RUNTIME, join(PACKAGE, "runtime.wasm"));
  const types = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", join(PACKAGE, "types")];
  execFileSync(process.execPath, [join(HERE, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.package.json", ...types], {
    cwd: HERE,
    stdio: "inherit",
  });
  for (const name of readdirSync(join(HERE, "package"))) cpSync(join(HERE, "package", name), join(PACKAGE, name), { recursive: true });
  cpSync(join(HERE, "..", "LICENSE"), join(PACKAGE, "LICENSE"));
}

await (process.argv.includes("--package") ? buildPackage() : buildPages());
