// Which environment ran this? The kernelspec knows, the notebook remembers.

export function noteEnvironment({ model, sessionContext }) {
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
