// Keeps the page true: the server says what changed, the fragments that carry its topic are read again.
// A fragment has an id, `data-topic` (topics it shows) and `data-from` (the address of its page).

const WATCH_MS = 1000;
const notice = document.querySelector("[data-not-live]");
const health = document.querySelectorAll("[data-health-word]");
const due = new Set(), known = new Map();
let ask = () => {}, cut_at = null, cut_timer = 0;

function listen() {
  if (!window.SharedWorker) {
    import("./live-source.js").then(({ source }) => {
      const shared = source(hear);
      ask = (address, is_eager) => shared.ask(address, is_eager, take);
    });
    return;
  }
  const worker = new SharedWorker(new URL("live-worker.js", import.meta.url), { type: "module", name: "studiolo-live" });
  ask = (address, is_eager) => worker.port.postMessage({ address, is_eager });
  worker.port.onmessage = ({ data }) => (data.page ? take(data.page) : hear(data));
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
}

function hear({ topic, state, at }) {
  if (topic && topic !== "tick") { due.add(topic); readAgain(); }
  if (state === "live") show(null);
  if (state === "cut") show(at);
  // Signed out elsewhere: the server says where to go. Signed out here: the answer is on its way, and comes first.
  if (state === "ended") setTimeout(() => location.reload(), 1000);
}

// Not live at once is told only after a second: a restart of the platform takes less.
function show(at) {
  if (at !== null && cut_at !== null) return;
  cut_at = at;
  clearTimeout(cut_timer);
  if (at === null) { mark(""); return; }
  const time = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  cut_timer = setTimeout(() => mark(`Not live since ${time}. Reconnecting…`), 1000);
}

function mark(text) {
  document.documentElement.classList.toggle("not-live", text !== "");
  notice.hidden = text === "";
  notice.textContent = text;
  for (const word of health) word.textContent = text ? "Not live" : "Live";
}

const fragments = () => [...document.querySelectorAll("[data-topic]")];
const concerns = (fragment, topics) => topics.has("all") || fragment.dataset.topic.split(" ").some((topic) => topics.has(topic));

// A tab that nobody sees reads nothing until somebody does.
function readAgain() {
  if (document.visibilityState === "hidden") return;
  const wanted = fragments().filter((fragment) => concerns(fragment, due));
  due.clear();
  for (const address of new Set(wanted.map((fragment) => fragment.dataset.from))) {
    ask(address, wanted.some((fragment) => fragment.dataset.from === address && "eager" in fragment.dataset));
  }
}

// What changes without an event (the log of a start) is looked at every second.
function watch() {
  if (document.visibilityState === "hidden") return;
  for (const fragment of document.querySelectorAll("[data-watch]")) ask(fragment.dataset.from, true);
}

function take({ address, status, text, is_elsewhere }) {
  // Gone, forbidden or signed out: the page itself says so best.
  if (is_elsewhere || status === 404 || status === 403) { location.reload(); return; }
  if (status !== 200) return;
  const read = new DOMParser().parseFromString(text, "text/html");
  for (const old of fragments()) {
    const fresh = read.getElementById(old.id);
    if (old.dataset.from !== address || !fresh || known.get(old.id) === fresh.outerHTML) continue;
    replace(old, fresh);
    if ("title" in fresh.dataset) document.title = read.title;
  }
  document.dispatchEvent(new Event("studiolo:fresh"));
}

// While a fragment is replaced: keep what the reader holds, show what changed.

const rowsOf = (root) => new Map([...root.querySelectorAll("[data-rows] > [data-key]")].map((row) => [row.dataset.key, row]));
const textOf = (row) => [...row.children].map((cell) => cell.textContent.replace(/(in )?\d+ (s|min|h|days)( ago)?|just now/g, "")).join("|").replace(/\s+/g, " ");
const nameOf = (element) => element && (element.id ? `#${CSS.escape(element.id)}`
  : element.form ? `form[action="${CSS.escape(element.form.getAttribute("action"))}"] button`
  : element.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null);

function replace(old, fresh) {
  const before = new Map([...rowsOf(old)].map(([key, row]) => [key, textOf(row)]));
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  const focus = old.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  known.set(old.id, fresh.outerHTML);
  const is_pointed = old.matches(":hover");
  old.replaceWith(fresh);
  if (is_pointed) keepOrder(fresh, [...before.keys()]);
  for (const [key, row] of rowsOf(fresh)) if (before.get(key) !== textOf(row)) row.classList.add("changed");
  fresh.querySelectorAll("details").forEach((details, index) => { details.open ||= open[index] ?? false; });
  if (focus) fresh.querySelector(focus)?.focus({ preventScroll: true });
  htmx.process(fresh);
}

// Nothing moves under the pointer: rows that were there keep their order, new ones come last.
function keepOrder(fragment, order) {
  for (const body of fragment.querySelectorAll("[data-rows]")) {
    const place = ({ dataset: { key } }) => (order.includes(key) ? order.indexOf(key) : order.length);
    body.append(...[...body.children].sort((one, other) => place(one) - place(other)));
  }
}

document.addEventListener("visibilitychange", readAgain);
setInterval(watch, WATCH_MS);
listen();
