// Keys: Ctrl-K opens the palette; / j k Enter n ? act on the page unless switched off in this browser.

const SWITCH = "studiolo-single-keys";
const palette = document.getElementById("palette"), help = document.getElementById("help");
const found = document.getElementById("palette-found"), wanted = palette.querySelector("input");
const is_mac = /Mac|iP(hone|ad)/.test(navigator.platform);
for (const keys of document.querySelectorAll("[data-palette-keys]")) keys.textContent = is_mac ? "⌘K" : "Ctrl K";

const areOn = () => localStorage.getItem(SWITCH) !== "off";
const setting = document.querySelector("[data-single-keys]");
if (setting) {
  setting.checked = areOn();
  setting.addEventListener("change", () => localStorage.setItem(SWITCH, setting.checked ? "on" : "off"));
}

function openPalette() {
  if (help.open) help.close();
  if (!palette.open) palette.showModal();
  wanted.value = "";
  htmx.trigger(wanted, "opened");
  wanted.focus();
}

function move(by) {
  const rows = [...document.querySelectorAll("main [data-rows] > *")].filter((row) => row.querySelector("[data-open], a, button"));
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.ariaSelected === "true" || row.contains(document.activeElement));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  for (const row of rows) row.removeAttribute("aria-selected");
  next.setAttribute("aria-selected", "true");
  (next.querySelector("[data-open]") ?? next.querySelector("a, button, select")).focus();
  next.scrollIntoView({ block: "nearest" });
}

function makeNew() {
  const name = document.getElementById("new-name"), folded = name?.closest("details");
  // A browser focuses the field that an address ends in; page.js unfolds what hides it.
  if (!name) { location.href = "/workspaces#new-name"; return; }
  if (folded) folded.open = true;
  name.focus();
  name.select();
}

function filter() {
  const field = document.querySelector("[data-filter]");
  if (!field) { openPalette(); return; }
  field.focus();
  field.select();
}

const ACTS = { "/": filter, j: () => move(1), k: () => move(-1), n: makeNew, "?": () => help.showModal() };

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  const is_typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.ctrlKey || event.metaKey || event.altKey || is_typing || palette.open || help.open || !areOn()) return;
  const act = ACTS[event.key];
  if (act) { event.preventDefault(); act(); }
});

// In the palette: arrows walk from the field through what was found, Enter in the field opens the first.
palette.addEventListener("keydown", (event) => {
  const links = [...found.querySelectorAll("a")], at = links.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    (links[at + step] ?? (step < 0 ? wanted : links[at]))?.focus();
  } else if (event.key === "Enter" && event.target === wanted) {
    event.preventDefault();
    links[0]?.click();
  } else if (event.key.length === 1 && event.target !== wanted && !event.ctrlKey && !event.metaKey) {
    wanted.focus();
  }
});
for (const dialog of [palette, help]) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}
// Results that come late do not take away the one that is marked.
let marked = null;
found.addEventListener("htmx:beforeSwap", () => { marked = found.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null; });
found.addEventListener("htmx:afterSwap", () => {
  if (marked !== null) (found.querySelector(`a[href="${CSS.escape(marked)}"]`) ?? found.querySelector("a"))?.focus();
});
// A link to another place on this page leaves the palette open over it otherwise.
found.addEventListener("click", (event) => { if (event.target.closest("a")) palette.close(); });
document.querySelector("[data-open-palette]")?.addEventListener("click", openPalette);
