/** The link to join a class, which is remembered in the tab together with its QR code, because the server shows it only once. */

/** A link to join and its QR code as SVG. */
export interface JoinLink {
  readonly url: string;
  readonly qr: string;
}

/** For cross-site frames, where browsers deny storage: remembered until the page is closed. */
const kept = new Map<string, string>();

/** Several classes may be opened in one tab, so entries are named by the class's link to teach. */
function entry(teach: string): string {
  return `mien-join ${teach}`;
}

/** Remember the link to join of the class with this token of a link to teach. */
export function rememberJoinLink(teach: string, { url, qr }: JoinLink): void {
  const text = JSON.stringify({ url, qr });
  kept.set(entry(teach), text);
  try {
    sessionStorage.setItem(entry(teach), text);
  } catch {
    return;
  }
}

/** Return the remembered link, or null. */
export function recallJoinLink(teach: string): JoinLink | null {
  const text = kept.get(entry(teach)) ?? stored(entry(teach));
  return text === null ? null : (JSON.parse(text) as JoinLink);
}

/** Return whether a link's address is that of the computer itself, so that no other computer can open it. */
export function isLocal(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

function stored(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}
