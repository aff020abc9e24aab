// How output reaches a cell: as a whole when a request is joined, message by message after that.

const OUTPUTS = new Set(["stream", "display_data", "execute_result", "error"]);

export class FollowedCell {
  // `remote` is the host's account of the cell's last request: state, execution_count, outputs.
  constructor(model, remote) {
    this.model = model;
    this.request = remote.request;
    this.count = remote.execution_count ?? null;
    this.isRunning = remote.state === "running";
    this.isToClear = Boolean(remote.clears_next);
  }

  // Whether the cell shows already what the host tells; if so, it is trusted as after a run in this page: a kernel of
  // this notebook sent it.
  isShown(remote) {
    const { model } = this;
    const isSame = same(model.outputs, remote.outputs);
    if (isSame && !model.trusted) model.trusted = true;
    return isSame;
  }

  // Show what the host tells instead of what the cell holds; says whether that changed its outputs.
  show(remote) {
    const { model } = this;
    const isNew = !this.isShown(remote);
    if (!model.trusted) model.trusted = true;
    // Not within the transaction: its end would tell the model of outputs that it has, and they would be doubled.
    if (isNew) {
      model.outputs.clearNext = false;
      model.outputs.fromJSON(remote.outputs);
    }
    model.sharedModel.transact(() => {
      const count = this.isRunning ? null : this.count;
      if (model.executionCount !== count) model.executionCount = count;
      if (this.isRunning) model.executionState = "running";
    }, false);
    return isNew;
  }

  // Note where its displays are, which other cells may update: `places` are indexes of its outputs by display id.
  place(places, displays) {
    const { outputs } = this.model;
    for (const [name, indexes] of Object.entries(places ?? {}))
      displays.set(name, [...elsewhere(displays.get(name), outputs), ...indexes.map((index) => ({ outputs, index }))]);
  }

  // Apply one message; says false when only the host's account of the cell can tell what it means.
  apply({ header, content }, displays) {
    if (OUTPUTS.has(header.msg_type)) this.#add(header.msg_type, content, displays);
    if (header.msg_type === "clear_output") {
      if (content.wait) this.isToClear = true;
      else this.#clear(displays);
    }
    if (header.msg_type === "update_display_data") return this.#update(content, displays);
    if (header.msg_type === "execute_input") this.count = content.execution_count;
    if (header.msg_type === "status" && content.execution_state === "idle") this.end();
    return true;
  }

  // The request is done, or its kernel is gone.
  end() {
    if (!this.isRunning) return;
    this.isRunning = false;
    this.model.sharedModel.transact(() => {
      this.model.executionCount = this.count;
      this.model.executionState = "idle";
    }, false);
  }

  #add(type, content, displays) {
    const { outputs } = this.model;
    if (this.isToClear) this.#clear(displays);
    outputs.add({ ...content, output_type: type });
    const name = content.transient?.display_id;
    if (name) displays.set(name, [...(displays.get(name) ?? []), { outputs, index: outputs.length - 1 }]);
  }

  #clear(displays) {
    this.isToClear = false;
    this.model.outputs.clear();
    for (const [name, places] of displays) displays.set(name, elsewhere(places, this.model.outputs));
  }

  #update(content, displays) {
    const places = displays.get(content.transient?.display_id);
    if (!places) return false;
    for (const { outputs, index } of places)
      if (!outputs.isDisposed && index < outputs.length) outputs.set(index, { ...content, output_type: "display_data" });
    return true;
  }
}

const elsewhere = (places, outputs) => (places ?? []).filter((place) => place.outputs !== outputs);

// Whether the cell shows this already. JupyterLab works backspaces and carriage returns into text, so both go that way.
function same(outputs, wanted) {
  const scratch = new outputs.constructor({ values: wanted });
  const equal = JSON.stringify(ordered(scratch.toJSON())) === JSON.stringify(ordered(outputs.toJSON()));
  scratch.dispose();
  return equal;
}

const ordered = (value) =>
  Array.isArray(value) ? value.map(ordered)
    : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, ordered(value[key])]))
      : value;
