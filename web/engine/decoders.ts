/** Decoders of the supported detector networks, by name. */

import type { Decoder } from "./detector.js";
import { MIEN_DETECT } from "./own_detector.js";
import { YUNET } from "./yunet.js";

export const DECODERS: Readonly<Record<string, Decoder>> = { yunet: YUNET, "mien-detect": MIEN_DETECT };
