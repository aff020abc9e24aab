// One source for all tabs of a browser: what it says goes to every tab. See live.js.
import { source } from "./live-source.js";

const ports = new Set();
let state = null;

const { ask } = source((message) => {
  if (message.state) state = message;
  for (const port of ports) port.postMessage(message);
});

addEventListener("connect", ({ ports: [port] }) => {
  const answer = (page) => port.postMessage({ page });
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data === "bye") ports.delete(port);
    else ask(data.address, data.is_eager, answer);
  };
  if (state) port.postMessage(state);
});
