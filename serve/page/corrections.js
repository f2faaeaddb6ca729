// Corrections: each is sent, in order, whatever follows. A picture whose correction was not kept stays named until one of it is.

import { ApiError, review } from "./api.js";
import { byId, say } from "./dom.js";

const unkept = new Map(); // a key of the file -> {name, why}
let last = Promise.resolve();

/** Phones call every picture image.jpg; one that is chosen again is another File. */
const keyOf = ({ name, size, lastModified }) => JSON.stringify([name, size, lastModified]);

/** Resolves to whether the server has kept it. */
export function keep(file, said) {
  const sent = last.then(() => send(file, said));
  last = sent.catch(() => {}); // one that breaks does not hold up the next
  return sent;
}

async function send(file, said) {
  unkept.delete(keyOf(file));
  try {
    await review(file, said);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    unkept.set(keyOf(file), { name: file.name, why: error.message });
    return false;
  } finally {
    showUnkept();
  }
}

function showUnkept() {
  const left = [...unkept.values()];
  byId("unkept").hidden = !left.length;
  say(byId("unkept-why"), `Not kept: ${left.map(({ name }) => name).join(", ")}. ${left.at(-1)?.why}`);
}

byId("unkept-close").addEventListener("click", () => {
  unkept.clear();
  showUnkept();
});
