// Keeps a websocket to /live and tells what it says: {topic}, or {state: "live" | "cut" | "ended", at}.

const SILENCE_MS = 45000, FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 15000, LOGIN_ENDED = 4401;

export function connect(tell) {
  let wait = FIRST_WAIT_MS, silence = 0, was_live = false;

  function open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    // The server says something every 15 s; a connection that died unnoticed says nothing.
    const heard = () => { clearTimeout(silence); silence = setTimeout(() => socket.close(), SILENCE_MS); };
    socket.onopen = () => {
      heard();
      tell({ state: "live", at: Date.now() });
      // What changed meanwhile was not told: read everything again.
      if (was_live) tell({ topic: "all" });
      was_live = true;
      wait = FIRST_WAIT_MS;
    };
    socket.onmessage = ({ data }) => { heard(); tell(JSON.parse(data)); };
    socket.onclose = ({ code }) => {
      clearTimeout(silence);
      if (code === LOGIN_ENDED) { tell({ state: "ended", at: Date.now() }); return; }
      tell({ state: "cut", at: Date.now() });
      setTimeout(open, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  }

  open();
}
