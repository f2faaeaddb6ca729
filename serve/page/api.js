// The server's words: one function per route, errors as one sentence.

export class ApiError extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

const LATE_MS = 2000;

let told = () => {};
let waits = () => {};
const late = new Set(); // requests that have waited so long

/**
 * `tell(id)`: with every answer, the id of the release that answered; "" where none is named, null where nothing answers.
 * `wait(isLate)`: when an answer is late, and when none is any more.
 */
export function listen(tell, wait) {
  [told, waits] = [tell, wait];
}

async function watched(request) {
  const timer = setTimeout(() => waits(late.add(request).size > 0), LATE_MS);
  try {
    return await request;
  } finally {
    clearTimeout(timer);
    if (late.delete(request)) waits(late.size > 0);
  }
}

/** `isLong`: the tool itself says that it takes its time. */
async function ask(path, { isLong, ...options } = {}) {
  let reply;
  try {
    const request = fetch(path, options);
    reply = await (isLong ? request : watched(request));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    told(null);
    throw new ApiError("The server does not answer; is it still running?", 0);
  }
  told(reply.headers.get("X-Genga-Release") ?? "");
  if (reply.ok) return reply;
  throw new ApiError(await sentenceOf(reply), reply.status);
}

async function sentenceOf(reply) {
  try {
    const { error } = await reply.json();
    if (typeof error === "string" && error) return error.charAt(0).toUpperCase() + error.slice(1);
  } catch {
    // no JSON: a proxy in between answered
  }
  return `The server answered with status ${reply.status}; try again in a moment.`;
}

/** `kind`: "json" or "blob". */
async function bodyOf(reply, kind) {
  try {
    return await reply[kind]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server’s answer broke off; try again.", reply.status);
  }
}

async function postJson(path, body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  return bodyOf(await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal }), "json");
}

function postFile(path, file, name, { fields = {}, ...options }) {
  const body = new FormData();
  body.append("file", file, name);
  for (const [field, value] of Object.entries(fields)) body.append(field, value);
  return ask(path, { method: "POST", body, ...options });
}

export const release = async () => bodyOf(await ask("api/release", { cache: "no-store" }), "json");
export const characters = (body, signal) => postJson("api/characters", body, signal);
export const sketch = (body, signal) => postJson("api/sketch", body, signal);

/** `kind`: "stick" or "figure"; without it the server tells by the drawing. */
export const readPose = async (file, name, kind, signal) =>
  bodyOf(await postFile("api/pose", file, name, { signal, fields: kind ? { kind } : {} }), "json");

export const readTags = async (file, name, signal) => bodyOf(await postFile("api/tags", file, name, { signal }), "json");
export const review = (file, said) =>
  postFile("api/review", file, file.name, { fields: { said: JSON.stringify(said) }, headers: { "X-Genga-Review": "page" } });

export async function upscale(file, name, signal) {
  const reply = await postFile("api/upscale", file, name, { signal, isLong: true });
  return { picture: await bodyOf(reply, "blob"), version: reply.headers.get("X-Genga-Version") };
}

/**
 * Live answers without a queue: one request at a time, and the next one asks for what is wanted by then.
 * A request that is still under way after `patience` ms when something newer is wanted is given up.
 */
export class Latest {
  #wanted = null;
  #controller = null;
  #started = 0;

  constructor({ work, done, failed, busy = () => {}, patience = 1500 }) {
    Object.assign(this, { work, done, failed, busy, patience });
  }

  ask(wish) {
    this.#wanted = { wish };
    if (!this.#controller) this.#run();
    else if (performance.now() - this.#started > this.patience) this.#controller.abort();
  }

  /** Forgets what is wanted; a request under way is given up and its answer not shown. */
  cancel() {
    this.#wanted = null;
    this.#controller?.abort();
  }

  async #run() {
    this.busy(true);
    try {
      while (this.#wanted) await this.#grant();
    } finally {
      this.#controller = null;
      this.busy(false);
    }
  }

  async #grant() {
    const { wish } = this.#wanted;
    this.#wanted = null;
    const { signal } = (this.#controller = new AbortController());
    this.#started = performance.now();
    try {
      const answer = await this.work(wish, signal);
      if (!signal.aborted) await this.done(answer, wish);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.failed(error, wish);
    }
  }
}

/** Calls once, `wait` ms after the last call. */
export function settled(action, wait) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait, ...values);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
