// Which environment ran this? The kernelspec knows, the notebook remembers.

// What somebody installed a moment ago is in the kernelspecs already; JupyterLab itself asks once a minute.
const RENEW_MS = 2000;
const renewed = new WeakMap();

export function noteEnvironment(context) {
  note(context);
  const specs = context.sessionContext.specsManager;
  if (Date.now() - (renewed.get(specs) ?? 0) < RENEW_MS) return;
  renewed.set(specs, Date.now());
  // Without an answer the notebook goes on saying what was known.
  specs.refreshSpecs().then(() => note(context), () => {});
}

function note({ model, sessionContext }) {
  if (model.isDisposed) return;
  const name = sessionContext.session?.kernel?.name;
  const spec = sessionContext.specsManager.specs?.kernelspecs[name];
  const known = spec?.metadata?.studiolo;
  if (!known) return;
  const before = model.getMetadata("studiolo") ?? {};
  const now = { ...before, ...known, kernel: name };
  // A notebook that says so already is not changed.
  if (sorted(before) !== sorted(now)) model.setMetadata("studiolo", now);
}

function sorted(value) {
  return JSON.stringify(value, (_, part) =>
    part !== null && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part);
}
