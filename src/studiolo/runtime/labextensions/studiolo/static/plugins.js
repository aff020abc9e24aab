// The plug-ins; each can be switched off by itself in JupyterLab's plug-in manager.
import { noteEnvironment } from "./environment.js";
import { Follower } from "./follower.js";
import { Here } from "./here.js";
import { journal } from "./journal.js";
import { addMenu } from "./menu.js";
import { guardSaves } from "./saves.js";

export function plugins({ notebook, services, apputils, mainmenu, widgets }) {
  const { INotebookTracker, NotebookActions } = notebook;
  const ask = journal(services);
  let isNoting = false;

  function cameBack(context, count) {
    tell(apputils, context, count);
    if (isNoting) noteEnvironment(context);
  }

  const output = {
    id: "studiolo:output",
    description: "Shows what cells of a notebook wrote for another browser, or while no browser was there.",
    autoStart: true,
    requires: [INotebookTracker],
    activate: (app, tracker) => {
      // By document: two views of a notebook share one model, which must get each output once.
      const followers = new Map();
      tracker.widgetAdded.connect((_, { context }) => {
        if (followers.has(context)) return;
        followers.set(context, new Follower(context, ask, (count) => cameBack(context, count)));
        context.disposed.connect(() => {
          followers.get(context).stop();
          followers.delete(context);
        });
      });
      NotebookActions.executionScheduled.connect((_, { cell }) => {
        for (const follower of followers.values()) follower.leave(cell.model);
      });
    },
  };

  const environment = {
    id: "studiolo:environment",
    description: "Notes in the notebook which environment and size its cells ran with (metadata.studiolo).",
    autoStart: true,
    requires: [INotebookTracker],
    activate: (app, tracker) => {
      isNoting = true;
      NotebookActions.executionScheduled.connect((_, { notebook: content, cell }) => {
        const panel = tracker.find((candidate) => candidate.content === content);
        if (panel && cell.model.type === "code") noteEnvironment(panel.context);
      });
    },
  };

  const here = {
    id: "studiolo:here",
    description: "Notices of the platform, who else has a file open, and the Studiolo menu.",
    autoStart: true,
    optional: [mainmenu.IMainMenu],
    activate: (app, mainMenu) => {
      const asking = new Here(app, services, apputils, widgets);
      guardSaves(app, asking, apputils);
      if (mainMenu) addMenu(app, asking, mainMenu, widgets, apputils);
      app.restored.then(() => asking.start());
    },
  };

  return [output, environment, here];
}

function tell({ Notification }, context, count) {
  const cells = count === 1 ? "1 cell" : `${count} cells`;
  const name = context.path.split("/").pop();
  Notification.info(`Output from while you were away was added to ${cells} of ${name}.`, { autoClose: 8000 });
}
