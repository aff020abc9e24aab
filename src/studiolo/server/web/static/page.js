// What pages do beyond links and forms: times, copying, and where focus lands.

const RELATIVE = [[60, 1, "s"], [3600, 60, "min"], [48 * 3600, 3600, "h"], [Infinity, 86400, "days"]];

// Made once: to make one takes longer than to use it a hundred times, and lists have hundreds of times.
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function ago(at) {
  const span = (Date.now() - at) / 1000, size = Math.abs(span);
  if (size > 30 * 86400) return at.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  if (size < 10) return "just now";
  // What is to come is rounded: what was given seven days a moment ago ends in seven, and 90 minutes are not an hour.
  if (span < 0) {
    const [, unit, word] = RELATIVE.findLast(([, unit]) => unit === 1 || size >= 2 * unit);
    return `in ${Math.round(size / unit)} ${word}`;
  }
  const [, unit, word] = RELATIVE.find(([limit]) => size < limit);
  return `${Math.floor(size / unit)} ${word} ago`;
}

function since(at) {
  const value = Math.max(0, (Date.now() - at) / 1000);
  if (value < 60) return value < 10 ? `${value.toFixed(1)} s` : `${Math.floor(value)} s`;
  return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
}

function tellTimes() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const text = (element.dataset.prefix ?? "") + ago(at);
    if (element.textContent !== text) element.textContent = text;
    element.title = EXACT.format(at);
  }
}

function tellElapsed() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = since(new Date(element.dataset.since));
  }
}

async function copy(button) {
  const source = document.querySelector(button.dataset.copy), text = source.textContent.trim();
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Plain http on another machine has no clipboard for scripts: mark the text, so that two keys copy it.
    source.hidden = false;
    getSelection().selectAllChildren(source);
    button.textContent = "Marked: press Ctrl C";
  }
  setTimeout(() => { button.textContent = before; }, 4000);
}

function moveOn() {
  const stage = document.querySelector("[data-go]");
  if (stage) location.replace(stage.dataset.go);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
});
// The address of a form that is being filled holds it, so that a reload or a copied link does too.
document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (target.dataset.address) history.replaceState(history.state, "", target.dataset.address);
});
for (const event of ["studiolo:fresh", "htmx:afterSettle"]) {
  document.addEventListener(event, () => { tellTimes(); tellElapsed(); moveOn(); });
}

const address = new URL(location.href);
if (address.searchParams.has("said")) {
  // A reload should not say it again.
  address.searchParams.delete("said");
  address.searchParams.delete("undo");
  history.replaceState(history.state, "", address);
}
const canonical = document.querySelector("link[rel=canonical]");
if (canonical) history.replaceState(history.state, "", canonical.href + location.hash);
document.querySelector("[data-result]")?.focus();
// Where tabs are wider than the screen, the one that is shown is seen.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
const folded = target && target.closest("details");
if (folded) folded.open = true;
document.querySelector("form[data-at-once]")?.requestSubmit();
tellTimes();
moveOn();
setInterval(tellTimes, 20000);
setInterval(tellElapsed, 100);
