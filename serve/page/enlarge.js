// The enlarging tool: a picture in, four times its sides out, compared under one slider.

import { Latest, upscale } from "./api.js";
import { byId, onFile, save, say, show } from "./dom.js";
import { megabytes, megapixels, provenance } from "./words.js";

export class Enlarge {
  #release = null;
  #urls = []; // of the pictures shown
  #result = null; // {url, filename}
  #upscaler;
  #latest = null; // the file chosen last
  #lost = null; // what nothing answered

  constructor() {
    this.#upscaler = new Latest({
      work: async ({ file, name }, signal) => ({ ...(await upscale(file, name, signal)), file }),
      done: (answer, { name }) => this.#showAnswer(answer, name),
      failed: (error, wish) => {
        this.#refuse(error.message);
        if (error.status === 0) this.#lost = wish;
      },
      busy: (busy) => byId("drop").setAttribute("aria-busy", busy),
      patience: 0,
    });
    byId("choose").addEventListener("click", () => byId("enlarge-file").click());
    byId("another").addEventListener("click", () => byId("enlarge-file").click());
    onFile(byId("enlarge-file"), (file) => this.take(file));
    byId("enlarge-download").addEventListener("click", () => save(this.#result.url, this.#result.filename));
    byId("cut").addEventListener("input", () => this.#cut());
    for (const [kind, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
      byId("drop").addEventListener(kind, () => byId("drop").classList.toggle("over", over));
    }
    this.#cut();
  }

  open(release) {
    const lacked = this.#release && !this.#release.families.upscaler;
    this.#release = release;
    const { upload_bytes, upscale_pixels, upscale_factor } = release.limits;
    byId("enlarge-limits").textContent = `Pictures up to ${megabytes(upload_bytes)} and ${megapixels(upscale_pixels)} become ${upscale_factor} times as wide and high; transparency is kept.`;
    byId("choose").disabled = !release.families.upscaler;
    if (!release.families.upscaler) say(byId("enlarge-message"), "This release has no upscaler; train one with `dvc repro`.");
    else if (lacked) say(byId("enlarge-message"));
    this.again();
  }

  /** Asks for what nothing answered. */
  again() {
    if (this.#lost) this.enlarge(this.#lost.file, this.#lost.name);
  }

  take(file) {
    this.enlarge(file, file.name);
  }

  /** Takes a picture from anywhere on the page. */
  async enlarge(file, name) {
    if (!this.#release?.families.upscaler) return;
    say(byId("enlarge-message"));
    this.#latest = file;
    this.#lost = null;
    this.#upscaler.cancel();
    const { upload_bytes, upscale_pixels } = this.#release.limits;
    if (file.size > upload_bytes) return this.#refuse(`The picture has ${megabytes(file.size)}; at most ${megabytes(upload_bytes)} are taken.`);
    const pixels = await countPixels(file);
    if (file !== this.#latest) return; // another was chosen meanwhile
    if (pixels > upscale_pixels) return this.#refuse(`The picture has ${megapixels(pixels)}; at most ${megapixels(upscale_pixels)} are taken.`);
    byId("enlarge-made").textContent = `Enlarging ${name} …`;
    this.#upscaler.ask({ file, name });
  }

  #refuse(sentence) {
    byId("enlarge-made").textContent = this.#result?.made ?? " ";
    say(byId("enlarge-message"), sentence);
  }

  async #showAnswer({ picture, version, file }, name) {
    const [before, after] = [URL.createObjectURL(file), URL.createObjectURL(picture)];
    const comparable = await show(byId("before"), before);
    await show(byId("after"), after);
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls = [before, after];
    const { naturalWidth: width, naturalHeight: height } = byId("after");
    const factor = this.#release.limits.upscale_factor;
    const made = `${width / factor} × ${height / factor} → ${width} × ${height} pixels · ${provenance(version, this.#release.families.upscaler)}`;
    this.#result = { url: after, filename: `${name.replace(/\.[^.]*$/, "")}-4x.png`, made };
    byId("invite").hidden = true;
    byId("compare").hidden = false;
    byId("compare").classList.toggle("alone", !comparable); // the browser may not know a format that the server reads
    byId("compare").style.setProperty("--ratio", width / height);
    byId("enlarge-made").textContent = made;
    byId("enlarge-download").disabled = false;
    byId("another").disabled = false;
  }

  #cut() {
    byId("compare").style.setProperty("--cut", `${byId("cut").value}%`);
  }
}

/** 0 where the browser cannot tell: the server looks for itself. */
async function countPixels(file) {
  try {
    const picture = await createImageBitmap(file);
    const pixels = picture.width * picture.height;
    picture.close();
    return pixels;
  } catch {
    return 0;
  }
}
