/** Requests that are repeated until the server answers. */

const TIMEOUT_MS = 5000;
const ATTEMPTS = 4;
const PAUSE_MS = 1000;

/** Send a request, again if there is no answer or the server is overloaded; return the last answer, or null if there was none. */
export async function insist(send: (signal: AbortSignal) => Promise<Response>): Promise<Response | null> {
  for (let attempt = 1; ; attempt++) {
    const answer = await send(AbortSignal.timeout(TIMEOUT_MS)).catch(() => null);
    const isFinal = answer !== null && answer.status < 500 && answer.status !== 429;
    if (isFinal || attempt === ATTEMPTS) return answer;
    await new Promise((done) => setTimeout(done, attempt * PAUSE_MS));
  }
}
