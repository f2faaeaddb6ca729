// Corrections: each is sent, in order, whatever follows. A picture whose correction was not kept stays named until one of it is.

import { ApiError, review } from "./api.js";
import { byId, say } from "./dom.js";

const unkept = new Map(); // file name -> why
let last = Promise.resolve();

/** Resolves to whether the server has kept it. */
export function keep(file, said) {
  const sent = last.then(() => send(file, said));
  last = sent.catch(() => {}); // one that breaks does not hold up the next
  return sent;
}

async function send(file, said) {
  unkept.delete(file.name);
  try {
    await review(file, said);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    unkept.set(file.name, error.message);
    return false;
  } finally {
    byId("unkept").hidden = !unkept.size;
    say(byId("unkept"), `Not kept: ${[...unkept.keys()].join(", ")}. ${[...unkept.values()].at(-1)}`);
  }
}
