// What a tab shows, for when it is loaded again. A new tab begins with what was left in any other.

import { recall, remember } from "./memory.js";

export function rememberHere(key, value) {
  remember(key, value);
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // full or switched off
  }
}

/** What this tab remembers, else any other, else `otherwise`. */
export function recallHere(key, valid, otherwise) {
  const left = recall(key, valid, otherwise);
  try {
    const value = JSON.parse(sessionStorage.getItem(key));
    return valid(value) ? value : left;
  } catch {
    return left;
  }
}
