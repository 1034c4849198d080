/** Tests of the remembered links to join. */

import { beforeEach, describe, expect, it, vi } from "vitest";

const [A, B] = [{ url: "https://class/join#a", qr: "<svg>a</svg>" }, { url: "https://class/join#b", qr: "<svg>b</svg>" }];

/** Load the module as a page does that is opened in a tab. */
async function opened() {
  vi.resetModules();
  return import("../teacher/join_link.js");
}

describe("the link to join", () => {
  beforeEach(() => {
    const stored = new Map<string, string>();
    const storage = { getItem: (name: string) => stored.get(name) ?? null, setItem: (name: string, text: string) => stored.set(name, text) };
    vi.stubGlobal("sessionStorage", storage);
  });

  it("belongs to one class, also when another is opened in the same tab", async () => {
    (await opened()).rememberJoinLink("teach-a", A);
    const later = await opened();
    expect(later.recallJoinLink("teach-b")).toBeNull();
    later.rememberJoinLink("teach-b", B);
    expect([later.recallJoinLink("teach-a"), later.recallJoinLink("teach-b")]).toEqual([A, B]);
  });

  it("is replaced together with its QR code", async () => {
    const page = await opened();
    page.rememberJoinLink("teach-a", A);
    page.rememberJoinLink("teach-a", B);
    expect((await opened()).recallJoinLink("teach-a")).toEqual(B);
  });

  it("is known to work on this computer only if its address is the computer's own", async () => {
    const { isLocal } = await opened();
    for (const host of ["localhost:8732", "127.0.0.1:8732", "127.0.1.1", "[::1]:8732"]) expect(isLocal(`http://${host}/join#a`)).toBe(true);
    for (const host of ["class.example.org", "127.example.org", "192.168.1.7:8732"]) expect(isLocal(`https://${host}/join#a`)).toBe(false);
  });

  it("is remembered until the page is closed where storage is denied", async () => {
    const denied = (): never => {
      throw new DOMException("denied", "SecurityError");
    };
    vi.stubGlobal("sessionStorage", { getItem: denied, setItem: denied });
    const page = await opened();
    page.rememberJoinLink("teach-a", A);
    expect(page.recallJoinLink("teach-a")).toEqual(A);
    expect((await opened()).recallJoinLink("teach-a")).toBeNull();
  });
});
