// The Studiolo menu: the platform's pages about this session, and its end.

const PAGES = [
  ["workspace", "Workspace Page"],
  ["people", "People"],
  ["environment", "Environment"],
  ["session", "What This Session Uses"],
];

export function addMenu(app, here, mainMenu, { Menu }, { showDialog, Dialog, Clipboard }) {
  const menu = new Menu({ commands: app.commands });
  menu.id = "studiolo-menu";
  menu.title.label = "Studiolo";
  for (const [page, label] of PAGES) {
    const command = `studiolo:${page}`;
    app.commands.addCommand(command, {
      label,
      isEnabled: () => Boolean(here.links[page]),
      execute: () => here.visit(here.links[page]),
    });
    menu.addItem({ command });
  }
  menu.addItem({ type: "separator" });
  app.commands.addCommand("studiolo:copy-link", {
    label: "Copy Permanent Link to This File",
    caption: "An address that opens, resumes or starts the reader's own session and lands on this file",
    isEnabled: () => Boolean(here.links.tree && app.shell.currentWidget?.context),
    execute: () => {
      const path = app.shell.currentWidget.context.path.split("/").map(encodeURIComponent).join("/");
      Clipboard.copyToSystem(here.links.tree + path);
    },
  });
  app.commands.addCommand("studiolo:stop", {
    label: "Stop This Session…",
    execute: async () => {
      const asked = await showDialog({
        title: "Stop this session?",
        body: "What is open is saved first. Its kernels end and their variables are gone.",
        buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: "Stop" })],
      });
      if (!asked.button.accept) return;
      // Output that no file has yet is only on the kernels' pages afterwards. Who declines to save stops all the same.
      await app.commands.execute("docmanager:save-all").catch(() => undefined);
      await here.act("stop");
      if (here.links.workspace) window.location.assign(here.links.workspace);
    },
  });
  menu.addItem({ command: "studiolo:copy-link" });
  menu.addItem({ type: "separator" });
  menu.addItem({ command: "studiolo:stop" });
  mainMenu.addMenu(menu, true, { rank: 900 });
}
