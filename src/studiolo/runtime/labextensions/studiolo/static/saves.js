// A save never overwrites what its writer has not seen. The server compares by content as it writes; here the person
// is asked, once, with a way to see what differs. JupyterLab's own question comes before the save and knows times only.

const LATER = "Decide Later", COMPARE = "Compare…", THEIRS = "Take Theirs", MINE = "Keep Mine";

export function guardSaves(app, here, { showDialog, Dialog }) {
  const contents = app.serviceManager.contents;
  const get = contents.get.bind(contents), save = contents.save.bind(contents);
  const asking = new Map();
  // By path: the hash and time of what the document last loaded or saved. JupyterLab asks for them after a save, too,
  // when another one's may have come in between.
  const known = new Map();

  function contextOf(path) {
    for (const widget of app.shell.widgets("main")) if (widget.context?.path === path) return widget.context;
    return undefined;
  }

  function note(path, model) {
    if (model.hash) known.set(path, { hash: model.hash, last_modified: model.last_modified });
    return model;
  }

  contents.get = async (path, options) => {
    const model = await get(path, options);
    if (!options?.hash || !model.hash) return model;
    if (options.content !== false) return note(path, model);
    // So JupyterLab asks before it saves: it finds what it loaded, and leaves the comparison to the server.
    const loaded = known.get(path);
    return loaded && contextOf(path) ? { ...model, ...loaded } : model;
  };

  contents.save = async (path, options) => {
    if (asking.has(path)) return asking.get(path);
    const hash = contextOf(path) ? known.get(path)?.hash : undefined;
    try {
      return note(path, await save(path, hash ? { ...options, hash } : options));
    } catch (refused) {
      if (refused.response?.status !== 409 || !hash) throw refused;
      const answer = decide(path, options).finally(() => asking.delete(path));
      // Autosave tries again meanwhile: it waits for the same answer.
      asking.set(path, answer);
      return answer;
    }
  };

  async function decide(path, options) {
    const name = path.split("/").pop();
    const buttons = [
      Dialog.cancelButton({ label: LATER }),
      Dialog.createButton({ label: COMPARE }),
      Dialog.createButton({ label: THEIRS }),
      Dialog.warnButton({ label: MINE }),
    ];
    for (;;) {
      const { button } = await showDialog({
        title: `${name} was changed by somebody else`,
        body: "It holds what you have not seen. Both versions are kept, whatever you choose.",
        buttons,
        defaultButton: 0,
      });
      if (button.label === MINE) {
        const { hash } = await get(path, { content: false, hash: true });
        return note(path, await save(path, { ...options, hash }));
      }
      if (button.label === THEIRS) await contextOf(path)?.revert();
      if (button.label !== COMPARE) throw cancelled();
      here.visit(`${here.links.history}?path=${encodeURIComponent(path)}`);
    }
  }
}

// As JupyterLab itself names what somebody called off: no message follows.
function cancelled() {
  return Object.assign(new Error("Cancel"), { name: "ModalCancelError" });
}
