// Keeps the page true: the server says what changed, the fragments that carry its topic are read again.

const GATHER_MS = 150;
const notice = document.querySelector("[data-not-live]");
const health = document.querySelectorAll("[data-health-word]");
let cut_at = null, cut_timer = 0, due = new Set(), gathering = 0;

function listen() {
  if (!window.SharedWorker) {
    import("./live-socket.js").then(({ connect }) => connect(hear));
    return;
  }
  const worker = new SharedWorker(new URL("live-worker.js", import.meta.url), { type: "module", name: "studiolo-live" });
  worker.port.onmessage = ({ data }) => hear(data);
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });
}

function hear({ topic, state, at }) {
  if (topic && topic !== "tick") gather(topic);
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

// Several events of one act ask for one reading.
function gather(topic) {
  due.add(topic);
  clearTimeout(gathering);
  gathering = setTimeout(readAgain, GATHER_MS);
}

function readAgain() {
  const topics = due;
  due = new Set();
  for (const fragment of document.querySelectorAll("[data-topic]")) {
    const concerned = fragment.dataset.topic.split(" ").some((topic) => topics.has(topic)) || topics.has("all");
    if (concerned) htmx.trigger(fragment, "changed");
  }
}

// Before and after a fragment is replaced: keep what the reader holds, show what changed.

const rowsOf = (root) => new Map([...root.querySelectorAll("[data-rows] > [data-key]")].map((row) => [row.dataset.key, row]));
const textOf = (row) => [...row.cells].map((cell) => cell.textContent.replace(/\d+ (s|min|h|days) ago|just now/g, "")).join("|").replace(/\s+/g, " ");
const nameOf = (element) => element && (element.id ? `#${CSS.escape(element.id)}`
  : element.form ? `form[action="${CSS.escape(element.form.getAttribute("action"))}"] button`
  : element.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null);
const held = new Map();

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const old = detail.target;
  if (!old.matches("[data-topic]")) return;
  const status = detail.xhr.status;
  // A fragment that is gone or forbidden now: the page itself says so best.
  if (status === 404 || status === 403) { location.reload(); return; }
  held.set(old.id, {
    rows: new Map([...rowsOf(old)].map(([key, row]) => [key, textOf(row)])),
    pointed: old.matches(":hover"),
    focus: old.contains(document.activeElement) ? nameOf(document.activeElement) : null,
    open: [...old.querySelectorAll("details")].map((details) => details.open),
  });
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  const before = held.get(detail.elt.id), fresh = document.getElementById(detail.elt.id);
  if (!before || !fresh) return;
  held.delete(detail.elt.id);
  if (before.pointed) keepOrder(fresh, [...before.rows.keys()]);
  for (const [key, row] of rowsOf(fresh)) {
    if (before.rows.get(key) !== textOf(row)) row.classList.add("changed");
  }
  fresh.querySelectorAll("details").forEach((details, index) => { details.open ||= before.open[index] ?? false; });
  if (before.focus) fresh.querySelector(before.focus)?.focus({ preventScroll: true });
});

// Nothing moves under the pointer: rows that were there keep their order, new ones come last.
function keepOrder(fragment, order) {
  for (const body of fragment.querySelectorAll("[data-rows]")) {
    const place = ({ dataset: { key } }) => (order.includes(key) ? order.indexOf(key) : order.length);
    body.append(...[...body.children].sort((one, other) => place(one) - place(other)));
  }
}

listen();
