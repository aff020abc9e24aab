// What the kernel host keeps of a kernel's output, asked for beside Jupyter's own API.

// Thrown when the kernel, or a journal of it, is not there: a server without one, or a kernel that is gone.
export class NoJournal extends Error {}

export function journal({ ServerConnection }) {
  return async (kernel, what) => {
    const settings = kernel.serverSettings;
    const address = `${settings.baseUrl}api/kernels/${encodeURIComponent(kernel.id)}/${what}`;
    const reply = await ServerConnection.makeRequest(address, {}, settings);
    if (reply.ok) return reply.json();
    if (reply.status < 500 && reply.status !== 408 && reply.status !== 429) throw new NoJournal(String(reply.status));
    throw new Error(String(reply.status));
  };
}
