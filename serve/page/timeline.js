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

  undo() {
    if (!this.canUndo) return;
    this.#future.push(this.now);
    this.now = this.#past.pop();
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.now);
    this.now = this.#future.pop();
  }
}
