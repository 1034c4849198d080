/** What a page would do in benchmarks/masked/masked_sums.py, with WebCrypto and BigInt alone. */

const PRIME = 2n ** 127n - 1n;
const PKCS8 = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32]; // what stands before a private key of X25519
const subtle = crypto.subtle;
const utf8 = (text) => new TextEncoder().encode(text);
const base = (secret) => subtle.importKey("raw", secret, "HKDF", false, ["deriveBits", "deriveKey"]);
const hkdf = (use) => ({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: utf8(use) });

const bytesOf = (number) => Uint8Array.from({ length: 16 }, (_, k) => Number((number >> BigInt(8 * k)) & 255n));
const numberOf = (bytes) => bytes.reduceRight((sum, each) => (sum << 8n) + BigInt(each), 0n);
const randomNumber = () => numberOf(crypto.getRandomValues(new Uint8Array(16))) % PRIME;

async function stream(key, size) {
  const cipher = await subtle.importKey("raw", key, "AES-CTR", false, ["encrypt"]);
  const algorithm = { name: "AES-CTR", counter: new Uint8Array(16), length: 64 };
  return new Uint32Array(await subtle.encrypt(algorithm, cipher, new Uint8Array(4 * size)));
}

const derive = async (secret, use) => subtle.deriveBits(hkdf(use), await base(secret), 256);
const ownMask = async (secret, size) => stream(await derive(bytesOf(secret), "own mask"), size);

async function maskKey(secret) {
  const scalar = new Uint8Array(await derive(bytesOf(secret), "mask key"));
  return subtle.importKey("pkcs8", new Uint8Array([...PKCS8, ...scalar]), "X25519", false, ["deriveBits"]);
}

async function pairMask(key, other, size) {
  const theirs = await subtle.importKey("raw", other, "X25519", false, []);
  const shared = await subtle.deriveBits({ name: "X25519", public: theirs }, key, 256);
  return stream(await derive(shared, "pair mask"), size);
}

function split(secret, threshold, count) {
  const coefficients = Array.from({ length: threshold - 1 }, randomNumber);
  const share = (point) => (coefficients.reduce((sum, each) => ((sum + each) * point) % PRIME, 0n) + secret) % PRIME;
  return Array.from({ length: count }, (_, k) => bytesOf(share(BigInt(k + 1))));
}

async function sealing(channel, use) {
  return subtle.deriveKey(hkdf(use), channel, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/** Return what page 0 adds to its vector: its own mask and that for one neighbour. */
window.masked = async (secret, other, size) => {
  const own = await ownMask(secret, size);
  const pair = await pairMask(await maskKey(secret), new Uint8Array(other), size);
  return Array.from(own, (value, k) => (value + pair[k]) >>> 0);
};

/** Return the milliseconds that a page with `count` neighbours needs for the three messages of a bin. */
window.cost = async (count, size) => {
  const pairs = await Promise.all(Array.from({ length: count }, () => subtle.generateKey("X25519", true, ["deriveBits"])));
  const keys = await Promise.all(pairs.map((each) => subtle.exportKey("raw", each.publicKey)));
  const channels = await Promise.all(keys.map(base));
  const nonce = { name: "AES-GCM", iv: new Uint8Array(12) };
  const start = performance.now();
  const [own, pair, threshold] = [randomNumber(), randomNumber(), Math.floor(count / 2) + 1];
  const [owns, secrets] = [split(own, threshold, count), split(pair, threshold, count)];
  const seal = async (channel, k) =>
    subtle.encrypt(nonce, await sealing(channel, `shares 0 0 ${k + 1}`), new Uint8Array([...owns[k], ...secrets[k]]));
  const sealed = await Promise.all(channels.map(seal));
  const key = await maskKey(pair);
  const total = await ownMask(own, size);
  for (const mask of await Promise.all(keys.map((each) => pairMask(key, each, size))))
    for (let k = 0; k < size; k++) total[k] += mask[k];
  const open = async (channel, k) => subtle.decrypt(nonce, await sealing(channel, `shares 0 0 ${k + 1}`), sealed[k]);
  await Promise.all(channels.map(open));
  return performance.now() - start;
};
