// Files: choosing rows, new notebooks, and uploads by tus 1.0.0 in pieces, several in a row, that can go on after a break.

const place = document.getElementById("files"), shown = place.querySelector("[data-uploads]");
const base = place.dataset.files, folder = place.dataset.folder, mayWrite = "mayWrite" in place.dataset;
const PIECE = 8 * 2 ** 20, TRIES = 6, TUS = { "Tus-Resumable": "1.0.0" };
const NOTEBOOK = { cells: [], metadata: { kernelspec: { display_name: "Python 3", language: "python", name: "python3" } }, nbformat: 4, nbformat_minor: 5 };

const inside = (name) => (folder ? `${folder}/${name}` : name);
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

class Refused extends Error {}

async function ask(method, address, { headers = {}, body, signal } = {}) {
  const reply = await fetch(address, { method, body, signal, headers: { ...TUS, ...headers } });
  if (reply.ok) return reply;
  const told = await reply.json().catch(() => ({}));
  const error = new (reply.status >= 500 || reply.status === 409 && told.code === "upload-offset" ? Error : Refused)(told.detail ?? `The server answered ${reply.status}.`);
  throw Object.assign(error, { told });
}

// Where an upload stands that broke off with its page, by what is sent and where to. Without storage, none is known.
const remembered = {
  find(key) { try { return key && localStorage.getItem(key); } catch { return null; } },
  keep(key, address) { try { if (key) localStorage.setItem(key, address); } catch { /* It goes on in this page only. */ } },
  forget(key) { try { if (key) localStorage.removeItem(key); } catch { /* Nothing was kept. */ } },
};

async function begin(key, content, pairs, signal) {
  const known = remembered.find(key);
  if (known) {
    try {
      return [known, Number((await ask("HEAD", known, { signal })).headers.get("Upload-Offset"))];
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      remembered.forget(key);
    }
  }
  const metadata = pairs.map(([name, value]) => `${name} ${base64(value)}`).join(",");
  const made = await ask("POST", `${base}/uploads`, { headers: { "Upload-Length": String(content.size), "Upload-Metadata": metadata }, signal });
  const address = made.headers.get("Location");
  remembered.keep(key, address);
  return [address, 0];
}

// Send all of `content`; after a break ask where the upload stands and go on there, also in a later page.
async function upload(path, content, { progress = () => {}, signal, replaces = false } = {}) {
  const pairs = [["path", path]];
  if (content.lastModified) pairs.push(["modified", String(content.lastModified / 1000)]);
  if (replaces) pairs.push(["overwrite", "yes"]);
  const key = content.lastModified && JSON.stringify(["upload", base, content.size, ...pairs.flat()]);
  const [address, reached] = await begin(key, content, pairs, signal);
  try {
    for (let at = reached, failures = 0; at < content.size;) {
      try {
        if (failures) at = Number((await ask("HEAD", address, { signal })).headers.get("Upload-Offset"));
        if (at >= content.size) break;
        const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(at) };
        const reply = await ask("PATCH", address, { headers, body: content.slice(at, at + PIECE), signal });
        at = Number(reply.headers.get("Upload-Offset"));
        failures = 0;
        progress(at);
      } catch (error) {
        if (error instanceof Refused || signal?.aborted || ++failures > TRIES) throw error;
        await wait(Math.min(2 ** failures / 2, 10));
      }
    }
    remembered.forget(key);
  } catch (error) {
    // What only broke off can go on.
    if (error instanceof Refused || signal?.aborted) {
      remembered.forget(key);
      ask("DELETE", address).catch(() => {});
    }
    throw error;
  }
}

function line(name) {
  const row = document.createElement("li"), bar = document.createElement("progress"), said = document.createElement("span"), cancel = document.createElement("button");
  const label = Object.assign(document.createElement("span"), { className: "name", textContent: name });
  bar.setAttribute("aria-label", `Upload of ${name}`);
  Object.assign(cancel, { type: "button", className: "quiet", textContent: "Cancel" });
  row.append(label, bar, said, cancel);
  return { row, bar, said, cancel };
}

const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 24 ? 1 : 0)}`;

// Send one file; where a person can do something about what came in between, a button beside it does it.
async function carry(one, settle, replaces = false) {
  one.again?.remove();
  one.said.classList.remove("failed");
  try {
    one.stop.signal.throwIfAborted();
    await upload(inside(one.path), one.file, {
      replaces,
      signal: one.stop.signal,
      progress: (at) => { one.bar.value = at; one.said.textContent = `${mib(at)} of ${mib(one.file.size)} MiB`; },
    });
    one.bar.value = one.bar.max;
    one.said.textContent = "Uploaded";
    one.isThere = true;
    one.cancel.remove();
  } catch (error) {
    const wasStopped = one.stop.signal.aborted, isTaken = error.told?.code === "file-exists";
    one.said.textContent = wasStopped ? "Cancelled" : error instanceof Refused ? error.message : "Broken off. What has arrived stays for a week.";
    one.said.classList.toggle("failed", !wasStopped);
    one.cancel.remove();
    if (wasStopped || (error instanceof Refused && !isTaken)) return;
    one.again = Object.assign(document.createElement("button"), { type: "button", textContent: isTaken ? "Replace" : "Go on" });
    one.again.addEventListener("click", () => carry(one, settle, replaces || isTaken).then(settle));
    one.row.append(one.again);
  }
}

async function uploadAll(files) {
  if (!files.length) return;
  shown.hidden = false;
  const list = shown.appendChild(document.createElement("ul"));
  const waiting = files.map(({ path, file }) => ({ path, file, stop: new AbortController(), ...line(path) }));
  const show = Object.assign(document.createElement("a"), { href: location.href, textContent: "Show the folder" });
  // What failed must be readable; the list shows the rest.
  const settle = () => { if (waiting.every((one) => one.isThere)) location.reload(); else shown.append(show); };
  for (const one of waiting) {
    list.append(one.row);
    one.bar.max = one.file.size || 1;
    one.bar.value = 0;
    one.cancel.addEventListener("click", () => one.stop.abort());
  }
  for (const one of waiting) await carry(one, settle);
  settle();
}

// Files and folders that were dropped, each with its path below the folder that is shown.
async function dropped(items) {
  const found = [];
  async function walk(entry, before) {
    if (entry.isFile) {
      found.push({ path: before + entry.name, file: await new Promise((done, fail) => entry.file(done, fail)) });
      return;
    }
    const reader = entry.createReader();
    // Browsers give a hundred at a time.
    for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length;) {
      for (const one of some) await walk(one, `${before}${entry.name}/`);
    }
  }
  // All at first: the list is empty after the first wait. What is no entry of a disk is a file all the same.
  for (const [entry, file] of [...items].map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()])) {
    if (entry) await walk(entry, "");
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

async function makeNotebook(button) {
  button.disabled = true;
  const content = new Blob([JSON.stringify(NOTEBOOK, null, 1) + "\n"]);
  try {
    for (let number = 0; ; number += 1) {
      const path = inside(number ? `Untitled${number}.ipynb` : "Untitled.ipynb");
      try {
        await upload(path, content);
        location.href = `${location.pathname.replace(/^(\/w\/[^/]+).*/, "$1")}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
        return;
      } catch (error) {
        if (error.told?.code !== "file-exists" || number > 99) throw error;
      }
    }
  } catch (error) {
    shown.hidden = false;
    shown.append(Object.assign(document.createElement("p"), { className: "failed", textContent: error.message }));
    button.disabled = false;
  }
}

const boxes = () => [...place.querySelectorAll("input[name=path][type=checkbox]")];
function tellChosen() {
  const count = boxes().filter((box) => box.checked).length, bar = place.querySelector("[data-selected]");
  if (!bar) return;
  for (const button of bar.querySelectorAll("button")) {
    button.hidden = !count;
    button.textContent = button.textContent.replace(/ (chosen|\d+)$/, ` ${count || "chosen"}`);
  }
}
place.addEventListener("change", ({ target }) => {
  if (target.matches("[data-all]")) for (const box of boxes()) box.checked = target.checked;
  if (target.matches("[data-upload]")) uploadAll([...target.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
  tellChosen();
});
tellChosen();
place.querySelector("[data-new-notebook]")?.addEventListener("click", (event) => makeNotebook(event.currentTarget));
for (const open of place.querySelectorAll(".drop")) {
  open.addEventListener("toggle", () => { if (open.open) open.querySelector("input:not([type=hidden])")?.focus(); });
  open.addEventListener("keydown", (event) => { if (event.key === "Escape") { open.open = false; open.querySelector("summary").focus(); } });
}

if (mayWrite) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => { if (holdsFiles(event)) { event.preventDefault(); document.body.classList.add("dropping"); } });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
  document.addEventListener("drop", async (event) => {
    document.body.classList.remove("dropping");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    uploadAll(await dropped(event.dataTransfer.items));
  });
}
