// What the browser remembers between visits. Storage may be full, switched off or written by an older page: none of that may hurt.

export function remember(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** The remembered value, or `otherwise` where there is none or it is not what `valid` accepts. */
export function recall(key, valid, otherwise) {
  try {
    const value = JSON.parse(localStorage.getItem(key));
    return valid(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}
