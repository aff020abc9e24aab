// One open notebook: shows what its kernel wrote for requests that this page did not send. JupyterLab renders only
// replies to its own requests; the rest comes here, numbered, from the journal of the kernel host.
import { FollowedCell } from "./cells.js";
import { NoJournal } from "./journal.js";

// The kernel's own websocket says that there is something; so often at most it is fetched.
const EVERY_MS = 100;
const LONGEST_WAIT_MS = 30_000;
const MOST_REMEMBERED = 1000;
const OVER = new Set(["restarting", "autorestarting", "terminating", "dead"]);

export class Follower {
  #after = null;
  #kernel = null;
  #cells = new Map();
  #displays = new Map();
  #unknown = new Set();
  // Requests that are no cell's: a console's, say. What they put out is not fetched.
  #elsewhere = new Set();
  #hasSkipped = false;
  #own = new WeakSet();
  #isDue = false;
  #isBusy = false;
  #failures = 0;
  #timer = 0;

  // `ask(kernel, what)` reads from the host; `tell(count)` is called when output of `count` cells came back.
  constructor(context, ask, tell) {
    this.context = context;
    this.ask = ask;
    this.tell = tell;
    const session = context.sessionContext;
    session.kernelChanged.connect(() => this.#begin());
    session.connectionStatusChanged.connect((_, status) => { if (status === "connected") this.#wake(); });
    session.statusChanged.connect((_, status) => { if (OVER.has(status)) this.#endAll(); });
    session.iopubMessage.connect((_, { parent_header: parent }) => this.#hear(parent));
    context.ready.then(() => this.#begin());
  }

  // This page runs the cell itself: JupyterLab shows that.
  leave(model) {
    this.#own.add(model);
    if (this.#cells.get(model.id)?.model === model) this.#cells.delete(model.id);
  }

  stop() {
    this.#kernel = null;
    clearTimeout(this.#timer);
  }

  #begin() {
    const kernel = this.context.sessionContext.session?.kernel ?? null;
    if (kernel === this.#kernel || this.context.isDisposed || !this.context.isReady) return;
    this.#endAll();
    this.#kernel = kernel;
    this.#after = null;
    this.#cells.clear();
    this.#displays.clear();
    this.#unknown.clear();
    this.#wake();
  }

  #isForeign(parent) {
    return Boolean(parent?.session && this.#kernel && parent.session !== this.#kernel.clientId);
  }

  #hear(parent) {
    if (!this.#isForeign(parent)) return;
    if (this.#elsewhere.has(parent.msg_id)) this.#hasSkipped = true;
    else this.#wake();
  }

  #wake() {
    this.#isDue = true;
    clearTimeout(this.#timer);
    if (!this.#isBusy) void this.#work();
  }

  async #work() {
    this.#isBusy = true;
    while (this.#isDue && this.#kernel) {
      this.#isDue = false;
      await this.#step(this.#kernel);
      await new Promise((resume) => setTimeout(resume, EVERY_MS));
    }
    this.#isBusy = false;
  }

  async #step(kernel) {
    try {
      if (this.#after === null || this.#hasSkipped) await this.#join(kernel);
      else await this.#follow(kernel);
      this.#failures = 0;
    } catch (error) {
      if (kernel !== this.#kernel) return;
      if (error instanceof NoJournal) { this.stop(); return; }
      this.#failures += 1;
      const wait = Math.min(1000 * 2 ** this.#failures, LONGEST_WAIT_MS);
      this.#timer = setTimeout(() => this.#wake(), wait * (0.5 + Math.random() / 2));
    }
  }

  // Take over what the host says of the cells that other requests have changed: all, or those since `#after`.
  async #join(kernel) {
    const isFirst = this.#after === null;
    this.#hasSkipped = false;
    const { last, cells } = await this.ask(kernel, isFirst ? this.#whatIsMissing() : `cells?after=${this.#after}`);
    if (kernel !== this.#kernel) return;
    let added = 0;
    for (const [id, remote] of Object.entries(cells)) {
      const model = this.#find(id);
      if (!model || this.#isOwn(model) || remote.session === kernel.clientId) continue;
      const cell = new FollowedCell(model, remote);
      this.#cells.set(id, cell);
      this.#own.delete(model);
      const isWanted = !isFirst || this.#isMissing(remote);
      if (isWanted) added += cell.show(remote);
      if (isWanted || cell.isShown(remote)) cell.place(remote.displays, this.#displays);
    }
    this.#after = last;
    if (isFirst && added) this.tell(added);
  }

  // What ended before the notebook was saved is in it, or was taken out of it by somebody. Where cells are not
  // trusted it is asked for all the same, to see whether they show what came from this kernel.
  #whatIsMissing() {
    const isTrusted = [...this.context.model.cells].every(({ trusted }) => trusted);
    return isTrusted ? `cells?since=${Math.floor(this.#savedAt())}` : "cells";
  }

  #isMissing(remote) {
    return remote.state === "running" || remote.changed_at > this.#savedAt();
  }

  // In seconds since 1970, as the host counts; 0: never.
  #savedAt() {
    return Date.parse(this.context.contentsModel?.last_modified) / 1000 || 0;
  }

  async #follow(kernel) {
    const { entries, next, more } = await this.ask(kernel, `journal?after=${this.#after}`);
    if (kernel !== this.#kernel) return;
    for (const entry of entries) {
      if (!this.#take(entry)) {
        await this.#join(kernel);
        return;
      }
      if (entry.number) this.#after = entry.number;
    }
    this.#after = next;
    if (more) this.#isDue = true;
  }

  // Apply an entry to the cell that it is for; false: the host's account is needed (a gap, a request not yet known).
  #take({ gap, cell: id, parent, message }) {
    if (gap) return false;
    if (!this.#isForeign(message.parent_header)) return true;
    if (!id) {
      if (this.#elsewhere.size >= MOST_REMEMBERED) this.#elsewhere.clear();
      this.#elsewhere.add(parent);
      return true;
    }
    const model = this.#find(id);
    if (!model || this.#isOwn(model)) return true;
    const cell = this.#cells.get(id);
    if (cell?.request !== parent || cell.model !== model) return false;
    if (cell.apply(message, this.#displays)) return true;
    // A display of a cell that was not followed; asked for once, since it may be this page's own.
    const name = message.content.transient?.display_id;
    const isKnown = this.#unknown.has(name);
    this.#unknown.add(name);
    return isKnown;
  }

  #isOwn(model) {
    return this.#own.has(model) && model.executionState === "running";
  }

  #find(id) {
    for (const model of this.context.model.cells) if (model.id === id && model.type === "code") return model;
    return null;
  }

  #endAll() {
    for (const cell of this.#cells.values()) if (!cell.model.isDisposed) cell.end();
  }
}
