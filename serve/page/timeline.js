// Undo and redo over whole states.

const DEPTH = 200;

export class Timeline {
  #past = [];
  #future = [];

  constructor(start) {
    this.now = start;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  push(state) {
    this.#past = [...this.#past, this.now].slice(-DEPTH);
    this.#future = [];
    this.now = state;
  }

  /** Changes the newest state without a step to undo. */
  replace(state) {
    this.now = state;
  }

  /** False where there is nothing to go back to. */
  undo() {
    return this.#travel(this.#past, this.#future);
  }

  redo() {
    return this.#travel(this.#future, this.#past);
  }

  #travel(from, to) {
    if (!from.length) return false;
    to.push(this.now);
    this.now = from.pop();
    return true;
  }
}
