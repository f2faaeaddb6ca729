// Names and numbers as people read them.

const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** hair_color -> Hair colour */
export const words = (name) => upper(name.replaceAll("_", " ").replace(/\bcolor\b/, "colour"));

/** 0.8 -> +0.80 */
export const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

export const megapixels = (pixels) => `${(pixels / 1e6).toFixed(1)} million pixels`;

/** ", hair colour blue +0.80, glasses +1.00" for titles and descriptions. */
export function described(tags) {
  return Object.entries(tags)
    .map(([name, value]) => `, ${words(name).toLowerCase().replace("=", " ")} ${signed(value)}`)
    .join("");
}

/** What stands under everything that a model made: which version, from whose pictures, under which licence. */
export const provenance = (version, { sources, licences }) => `${version} · ${sources.join(", ")} · licence ${licences.join(", ")}`;
