/** Answers what a peer serves: `@chumsync/chum/describe`. It is an entry of its own, since few pages are asked. */

import { FEEDS, TAKES } from "./exchange.ts";
import type { Mux, Service } from "./mux.ts";

const kinds = ["call", "sink", "source", "duplex"];
const anything = { go: "unknown", form: "any" };

/**
 * Serves `rpc.methods`: names, kinds, and how arguments travel, as far as it is known here, of all that is on the Mux
 * when it is asked.
 */
export const describe = (mux: Mux): void =>
  mux.put({
    name: "rpc.methods",
    mode: 0,
    pure: true,
    shape: { params: { form: "none" } },
    run: () => ({ methods: [...mux.services.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map(about) }),
  });

const about = ({ name, mode, pure, keyed, shape }: Service): object => {
  const { form = "json", positions, raw } = shape.params ?? {};
  return {
    name,
    kind: kinds[mode],
    args: {
      go: form === "none" ? "void" : "unknown",
      form,
      ...(positions && { positions }),
      ...(raw !== undefined && { raw }),
    },
    ...(mode & FEEDS && { in: anything }),
    [mode & TAKES ? "out" : "result"]: anything,
    ...(pure && { pure }),
    ...(keyed && { keyed: true }),
  };
};
