import { inject, onTestFinished } from "vitest";
import { type ConnectOptions, connect } from "../../src/connect.ts";
import type { Mux } from "../../src/mux.ts";
import type { Peer } from "../../src/peer.ts";

/** A server of its own for one test. */
export class Server {
  readonly name: string = crypto.randomUUID();

  get url(): string {
    return `ws://${inject("server")}/ws?name=${this.name}`;
  }

  /** Connects; the peer is closed with the test. */
  async connect(services?: Mux, options?: ConnectOptions): Promise<Peer> {
    const peer = await connect(this.url, services, options);
    onTestFinished(async () => {
      peer.close();
      await peer.done;
    });
    return peer;
  }

  /** Resets its connections, and tells how many there have been. */
  cut(): Promise<number> {
    return this.#post("cut");
  }

  /** The same, and it forgets its sessions, as one that is started anew. */
  restart(): Promise<number> {
    return this.#post("restart");
  }

  async #post(what: string): Promise<number> {
    const answer = await fetch(`http://${inject("server")}/${what}?name=${this.name}`, { method: "POST" });
    return Number(await answer.text());
  }
}
