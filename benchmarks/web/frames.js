/** What both pages do: load the pictures of the clips, and read them one after the other. */

const load = async (k) => createImageBitmap(await (await fetch(`/frames/${k}.png`)).blob());
const pictures = [];

/** Return the milliseconds from the page's start to the first result. */
window.first = async () => {
  pictures.push(await load(0));
  await window.read(pictures[0], 0, 0);
  return performance.now();
};

/** Read pictures `from` to `to` at a rate of `fps`. */
window.round = async (from, to, fps) => {
  while (pictures.length < to) pictures.push(await load(pictures.length));
  await window.begin();
  const found = [];
  for (let k = from; k < to; k++) found.push(await window.read(pictures[k], k, (k - from) / fps));
  return found;
};

window.isReady = true;
