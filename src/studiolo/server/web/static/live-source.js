// What all tabs of a browser share: the websocket of live-socket.js, and one reading of each page for all who ask.
// `tell(message)`: {topic}, {state, at} as the socket says. `ask` answers through the function it is given.
import { connect } from "./live-socket.js";

// Several events of one act ask for one reading; steady events read a page no more than a hundredth of the time.
const GATHER_MS = 150, SHARE = 100, LONGEST_PAUSE_MS = 4000;

export function source(tell) {
  const pages = new Map();

  function ask(address, is_eager, answer) {
    const page = pages.get(address) ?? { waiting: new Set(), timer: 0, due: Infinity, next: 0 };
    pages.set(address, page);
    page.waiting.add(answer);
    const now = Date.now(), due = is_eager ? now + GATHER_MS : Math.max(now + GATHER_MS, page.next);
    if (due >= page.due) return;
    clearTimeout(page.timer);
    page.due = due;
    page.timer = setTimeout(() => read(address, page), due - now);
  }

  async function read(address, page) {
    const waiting = page.waiting, began = Date.now();
    page.waiting = new Set();
    page.due = Infinity;
    const answer = { address, status: 0, text: "", is_elsewhere: false };
    try {
      const reply = await fetch(address, { credentials: "same-origin" });
      Object.assign(answer, { status: reply.status, is_elsewhere: reply.redirected, text: await reply.text() });
    } catch {
      // Cut off: the socket notices too, and everything is read again when it is back.
    }
    page.next = began + Math.min(LONGEST_PAUSE_MS, (Date.now() - began) * SHARE);
    for (const one of waiting) one(answer);
  }

  connect(tell);
  return { ask };
}
