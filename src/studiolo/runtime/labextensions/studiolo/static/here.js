// What the platform has to say here: notices that matter, and who else has a notebook open.

const EVERY = 15_000;
const SOON = 800;
// JupyterLab cuts what is longer.
const LONGEST = 140;
const TAB = crypto.getRandomValues(new Uint32Array(2)).join("-");

export class Here {
  constructor(app, { ServerConnection }, { Notification, showDialog, Dialog }, { Widget }) {
    this.app = app;
    this.ServerConnection = ServerConnection;
    this.Notification = Notification;
    this.isShut = false;
    this.read = (body) => showDialog({ title: "Studiolo", body, buttons: [Dialog.okButton({ label: "Close" })] });
    this.offer = (title, body, label) =>
      showDialog({ title, body, buttons: [Dialog.cancelButton({ label: "Stay" }), Dialog.okButton({ label })] });
    this.Widget = Widget;
    this.links = {};
    this.shown = new Map();
    this.dismissed = new Set();
    this.faces = new Map();
  }

  start() {
    document.addEventListener("visibilitychange", () => this.soon(0));
    this.app.shell.layoutModified?.connect(() => this.soon(SOON));
    this.soon(0);
  }

  soon(delay) {
    clearTimeout(this.timer);
    // A tab that nobody looks at asks nothing.
    if (!document.hidden) this.timer = setTimeout(() => this.ask(), delay);
  }

  async ask() {
    try {
      this.show(await this.tell());
      this.isShut = false;
    } catch (refused) {
      // Else the server itself does not answer, which JupyterLab says in its own words.
      if (refused.shut) this.shut(refused.shut);
    }
    this.soon(EVERY);
  }

  // Says once that there is no way in any more; what was true before is told no longer. In a dialog: what shows notices
  // is fetched with the first of them, and comes no more. The same address leads to the page that says more, or to the
  // sign-in, in a tab of its own: this one may hold unsaved work.
  async shut({ title, text, word }) {
    if (this.isShut) return;
    this.isShut = true;
    this.show({ notices: [], others: {}, links: this.links });
    const asked = await this.offer(title, text, word);
    if (asked.button.accept) this.visit(window.location.href);
  }

  // Sends what is open, and `act`, one thing that the person wants done. Throws with words when that is refused.
  async tell(act) {
    const settings = this.app.serviceManager.serverSettings;
    const body = JSON.stringify({ tab: TAB, open: [...this.open().keys()], ...(act ? { do: act } : {}) });
    const reply = await this.ServerConnection.makeRequest(`${settings.baseUrl}studiolo/here`, { method: "POST", body }, settings);
    const answer = await reply.json();
    if (!reply.ok) throw Object.assign(new Error(answer.message ?? String(reply.status)), { shut: shut(reply.status, answer) });
    return answer;
  }

  // The open documents' widgets by path.
  open() {
    const found = new Map();
    for (const widget of this.app.shell.widgets("main")) {
      const path = widget.context?.path;
      if (path && !path.includes(":")) found.set(path, [...(found.get(path) ?? []), widget]);
    }
    return found;
  }

  show({ notices, others, links }) {
    this.links = links;
    const now = new Map(notices.map((notice) => [notice.id, notice]));
    for (const [id, known] of this.shown) {
      if (!now.has(id)) { this.Notification.dismiss(known.at); this.shown.delete(id); }
    }
    for (const id of this.dismissed) if (!now.has(id)) this.dismissed.delete(id);
    for (const notice of notices) this.tellOf(notice);
    for (const [path, widgets] of this.open()) {
      for (const widget of widgets) this.face(widget, others[path] ?? []);
    }
  }

  tellOf({ id, level, text, until, actions }) {
    const time = until ? new Date(until).toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" }) : "";
    const message = text.replace("{until}", time);
    const known = this.shown.get(id);
    if (known && !this.Notification.manager.has(known.at)) {
      // Closed by the person: said once is enough.
      this.shown.delete(id);
      this.dismissed.add(id);
    }
    if (this.dismissed.has(id) || this.shown.get(id)?.message === message) return;
    if (known) this.Notification.dismiss(known.at);
    const buttons = actions.map((action) => this.button(action));
    if (message.length > LONGEST) buttons.push({ label: "Read all", callback: () => this.read(message) });
    const options = { autoClose: false, actions: buttons };
    const emit = { info: "info", warning: "warning", danger: "error" }[level];
    this.shown.set(id, { message, at: this.Notification[emit](message, options) });
  }

  button({ word, do: act, link }) {
    return { label: word, displayType: "accent", callback: () => (link ? this.visit(link) : this.act(act)) };
  }

  async act(act) {
    try {
      this.show(await this.tell(act));
    } catch (refused) {
      this.Notification.error(refused.message, { autoClose: false });
    }
  }

  visit(address) {
    window.open(address, "_blank", "noopener");
  }

  // Who else has the document open, at the right of its toolbar.
  face(widget, people) {
    const names = people.map((person) => person.display_name).join(", ");
    let face = this.faces.get(widget);
    if (!face && !names) return;
    if (!face) {
      face = new this.Widget({ node: document.createElement("span") });
      face.addClass("studiolo-others");
      face.node.setAttribute("role", "status");
      Object.assign(face.node.style, { padding: "0 8px", alignSelf: "center", whiteSpace: "nowrap" });
      widget.toolbar.addItem("studiolo-others", face);
      this.faces.set(widget, face);
      widget.disposed.connect(() => this.faces.delete(widget));
    }
    const text = names ? `${names} ${people.length > 1 ? "have" : "has"} this open` : "";
    if (face.node.textContent !== text) face.node.textContent = text;
  }
}

// What to say of the front door's answer that there is no way in any more; nothing of what passes by itself.
function shut(status, { code, detail }) {
  if (!code || !detail || ![401, 403, 404, 409].includes(status)) return undefined;
  const text = `${detail} What is not saved is on this page only.`;
  if (status === 401) return { title: "You are not signed in any more", text, word: "Sign in" };
  if (status === 409) return { title: "This session has ended", text, word: "Start it again" };
  return { title: "There is no way into this session any more", text, word: "See why" };
}
