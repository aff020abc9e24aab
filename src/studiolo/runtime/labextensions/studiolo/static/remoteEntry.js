// What JupyterLab's loader expects of a prebuilt extension: a container of webpack's module federation. Written by
// hand, so that there is nothing to build: our own parts are plain modules beside this file.
(() => {
  const address = document.currentScript.src;
  let scope = {};

  // The version that JupyterLab itself takes of a singleton: one that is loaded already, else the newest.
  function choose(versions) {
    const newestFirst = (a, b) => b.localeCompare(a, "en", { numeric: true });
    const names = Object.keys(versions).sort(newestFirst);
    return versions[names.find((name) => versions[name].loaded) ?? names[0]];
  }

  async function take(name) {
    if (!scope[name]) throw new Error(`JupyterLab does not share ${name}.`);
    const entry = choose(scope[name]);
    const factory = await entry.get();
    entry.loaded = 1;
    return factory();
  }

  async function get() {
    const [{ plugins }, notebook, services, apputils, mainmenu, widgets] = await Promise.all([
      import(new URL("plugins.js", address)),
      take("@jupyterlab/notebook"),
      take("@jupyterlab/services"),
      take("@jupyterlab/apputils"),
      take("@jupyterlab/mainmenu"),
      take("@lumino/widgets"),
    ]);
    // The loader writes into what it gets, which a module would not allow.
    const exports = { __esModule: true, default: plugins({ notebook, services, apputils, mainmenu, widgets }) };
    return () => exports;
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB.studiolo = { init: (shared) => { scope = shared; }, get };
})();
