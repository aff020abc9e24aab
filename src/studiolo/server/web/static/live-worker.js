// One websocket for all tabs of a browser: what it says goes to every tab. See live.js.
import { connect } from "./live-socket.js";

const ports = new Set();
let state = null;

function tell(message) {
  if (message.state) state = message;
  for (const port of ports) port.postMessage(message);
}

connect(tell);
addEventListener("connect", ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => { if (data === "bye") ports.delete(port); };
  if (state) port.postMessage(state);
});
