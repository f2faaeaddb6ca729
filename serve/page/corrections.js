// Corrections: each is sent, in order, whatever follows. One that was not kept stays named, to be sent again, until it is, or until its person says
// something newer of the same picture: an older answer never follows a newer one.

import { ApiError, review } from "./api.js";
import { byId, say } from "./dom.js";

const waiting = new Set(); // in order; the first one is under way
const unkept = new Map(); // key -> {correction, error}; stays while the correction is sent again
let last = Promise.resolve();

// to this page in other tabs: what this one has kept
const tabs = new BroadcastChannel("genga.corrections");

/** Phones call every picture image.jpg; one that is chosen again is another File. */
const keyOf = ({ name, size, lastModified }, { by, pose }) => JSON.stringify([name, size, lastModified, by, pose ? "pose" : "labels"]);

/** `heard(isKept)` is called whenever it was sent, once or again. */
export function keep(file, said, heard) {
  const correction = { file, said, heard, key: keyOf(file, said), at: Date.now() };
  const newest = [...waiting].reverse().find(({ key }) => key === correction.key);
  if (newest && JSON.stringify(newest.said) === JSON.stringify(said)) {
    newest.heard = heard; // the same once more: it is on its way
    return;
  }
  unkept.delete(correction.key);
  showUnkept();
  queue(correction);
}

/** Sends once more what the server did not answer or could not write; `evenRefused`: also what it refused. */
export function sendAgain({ evenRefused = false } = {}) {
  for (const { correction, error } of [...unkept.values()]) {
    const isRefused = error.status >= 400 && error.status < 500;
    if (!waiting.has(correction) && (evenRefused || !isRefused)) queue(correction);
  }
}

function queue(correction) {
  waiting.add(correction);
  showUnkept();
  const sent = last.then(() => send(correction));
  last = sent.catch(reportError); // one that breaks does not hold up the next
}

async function send(correction) {
  let error = null;
  try {
    await review(correction.file, correction.said);
  } catch (reason) {
    if (!(reason instanceof ApiError)) throw reason;
    error = reason;
  } finally {
    waiting.delete(correction);
  }
  const isOld = [...waiting].some(({ key }) => key === correction.key);
  if (error && !isOld) unkept.set(correction.key, { correction, error });
  else if (unkept.get(correction.key)?.correction === correction) unkept.delete(correction.key);
  if (!error) tabs.postMessage({ key: correction.key, at: correction.at });
  showUnkept();
  correction.heard(!error);
}

function showUnkept() {
  const left = [...unkept.values()];
  byId("unkept").hidden = !left.length;
  const names = left.map(({ correction }) => correction.file.name).join(", ");
  say(byId("unkept-why"), `Not kept: ${names}. ${left.at(-1)?.error.message}`);
  const isUnderWay = left.length > 0 && left.every(({ correction }) => waiting.has(correction));
  byId("unkept-again").setAttribute("aria-disabled", isUnderWay); // not `disabled`: the button pressed keeps the focus
  say(byId("unkept-again"), isUnderWay ? "Keeping …" : "Try again");
}

tabs.addEventListener("message", ({ data: { key, at } }) => {
  if (unkept.get(key)?.correction.at < at) unkept.delete(key);
  showUnkept();
});
byId("unkept-again").addEventListener("click", () => sendAgain({ evenRefused: true }));
byId("unkept-close").addEventListener("click", () => {
  unkept.clear();
  showUnkept();
});
addEventListener("beforeunload", (event) => {
  if (!waiting.size && !unkept.size) return;
  event.preventDefault();
  event.returnValue = true; // as browsers of some years ago want it
});
