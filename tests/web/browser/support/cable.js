/** The way from the browser to the dashboard, which a test can cut and mend. */

import { connect, createServer } from 'node:net';

export class Cable {
  #server;
  /** @type {Set<import('node:net').Socket>} */
  #sockets = new Set();
  #port = 0;

  /** @param {number} to the dashboard's port */
  constructor(to) {
    this.#server = createServer((near) => {
      const far = connect(to, '127.0.0.1');
      for (const [socket, other] of [[near, far], [far, near]]) {
        if (!socket || !other) continue;
        this.#sockets.add(socket);
        socket.pipe(other);
        socket.on('error', () => other.destroy());
        socket.on('close', () => this.#sockets.delete(socket) && other.destroy());
      }
    });
  }

  /** @param {number} to */
  static async plug(to) {
    const cable = new Cable(to);
    await cable.mend();
    return cable;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Every connection breaks, and no new one is made. */
  async cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async mend() {
    await new Promise((resolve) => this.#server.listen(this.#port, '127.0.0.1', () => resolve(null)));
    const address = this.#server.address();
    if (typeof address === 'object' && address) this.#port = address.port;
  }
}
