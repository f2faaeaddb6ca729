// The page: tabs, the release that is served, and the four tools.

import { ApiError, release as getRelease, listen } from "./api.js";
import { Character } from "./character.js";
import { sendAgain } from "./corrections.js";
import { byId, h, say } from "./dom.js";
import { Enlarge } from "./enlarge.js";
import { PoseTool } from "./pose.js";
import { TagTool } from "./tags.js";

const RETRY_MS = 2000;
const TABS = ["character", "pose", "tags", "enlarge"];

let release = null;
let opening = null;
let isLost = false; // a request that nothing answered
let absence = ""; // why nothing is served
let isLate = false; // an answer is waited for

const enlarge = new Enlarge();
const tools = [new Character({ onenlarge }), new PoseTool(), new TagTool(), enlarge];
const idle = [...document.querySelectorAll("main :is(button, input, select):enabled")]; // until the first release is known
for (const control of idle) control.disabled = true;

/** Reads what is served and hands it to the tools, if it is news to them; where nothing is served, says so and tries again. */
async function open() {
  let served;
  try {
    served = await getRelease();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    absence = error.message;
    showBanner();
    setTimeout(refresh, RETRY_MS);
    return;
  }
  const wasAway = absence !== "";
  absence = "";
  showBanner();
  if (served.release === release?.release && !wasAway) {
    if (isLost) setTimeout(again, RETRY_MS); // some requests alone were lost
    isLost = false;
    return;
  }
  isLost = false;
  release = served;
  showFamilies();
  for (const control of idle.splice(0)) control.disabled = false;
  for (const tool of tools) tool.open(release);
  sendAgain();
}

/** Asks for what nothing answered. */
function again() {
  for (const tool of tools) tool.again();
  sendAgain();
}

function refresh() {
  opening ??= open().finally(() => (opening = null));
}

function showBanner() {
  const banner = byId("banner");
  say(banner, absence || (isLate ? "Waiting for the server …" : ""));
  banner.hidden = !absence && !isLate;
  banner.classList.toggle("passing", !absence);
}

async function onenlarge(url, name) {
  const file = await (await fetch(url)).blob();
  select("enlarge");
  byId("tab-enlarge").focus(); // the button pressed is hidden now
  enlarge.enlarge(file, name);
}

/** `isStep`: the browser's Back leads from there to the tab before. */
function select(chosen, isStep = true) {
  for (const name of TABS) {
    const tab = byId(`tab-${name}`);
    tab.setAttribute("aria-selected", name === chosen);
    tab.tabIndex = name === chosen ? 0 : -1;
    byId(name).hidden = name !== chosen;
  }
  const hash = `#/${chosen}`; // no id of the page: nothing scrolls to it
  if (location.hash === hash) return;
  if (isStep) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash);
}

/** A picture dropped or pasted anywhere belongs to the tool that is open; no browser leaves the page for it. */
function listenToFiles() {
  const take = (event, { files, types }) => {
    if (!types.includes("Files")) return;
    event.preventDefault();
    const tool = tools[TABS.findIndex((name) => !byId(name).hidden)];
    if (!files.length || !release) return;
    if (tool.take) tool.take(files[0]);
    else say(byId("character-message"), "Pictures go to Pose, Tags or Enlarge.");
  };
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
  }
  document.addEventListener("drop", (event) => take(event, event.dataTransfer));
  document.addEventListener("paste", (event) => take(event, event.clipboardData));
}

function followHash() {
  const name = location.hash.slice(2);
  select(TABS.includes(name) ? name : TABS[0], false);
}

function listenToTabs() {
  for (const [tab_idx, name] of TABS.entries()) {
    byId(`tab-${name}`).addEventListener("click", () => select(name));
    byId(`tab-${name}`).addEventListener("keydown", (event) => {
      const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = { Home: 0, End: TABS.length - 1 }[event.key] ?? (side ? (tab_idx + side + TABS.length) % TABS.length : undefined);
      if (next === undefined) return;
      event.preventDefault();
      select(TABS[next]);
      byId(`tab-${TABS[next]}`).focus();
    });
  }
  for (const kind of ["hashchange", "popstate"]) addEventListener(kind, followHash);
  followHash();
}

// --- what is served

function showFamilies() {
  byId("families").replaceChildren(...Object.entries(release.families).map(([name, info]) => familyCard(name, info)));
}

function familyCard(name, { version, kimg, resolution, metrics, sources, licences, notes, learned_from: learnedFrom }) {
  const unknown = licences.some((licence) => licence.toLowerCase() === "unknown");
  const size = [resolution && `${resolution} px`, kimg && `${kimg} thousand pictures seen in training`].filter(Boolean).join(", ");
  const rows = [
    ["Learned from", sources.join(", ")],
    ["Licence", licences.join(", "), unknown ? "warn" : undefined],
    ["Labels", labelWords(learnedFrom)],
    ["Model", size],
    ["Scores", Object.entries(metrics).filter(([, value]) => typeof value === "number").map(([metric, value]) => `${metric} ${Number(value.toPrecision(3))}`).join(", ")],
  ].filter(([, text]) => text);
  return h(
    "article",
    { class: "card family" },
    h("h3", {}, name, h("span", { class: "version" }, `version ${version}`)),
    h("dl", {}, ...rows.flatMap(([term, text, kind]) => [h("dt", {}, term), h("dd", { class: kind }, text)])),
    ...notes.map((note) => h("p", { class: "note" }, note)),
  );
}

/** {hair_color: "imported", glasses: "drawn"} -> "hair color (imported), glasses (drawn)", one entry per origin. */
function labelWords(learnedFrom) {
  const origins = {};
  for (const [name, origin] of Object.entries(learnedFrom)) (origins[origin] ??= []).push(name);
  return Object.entries(origins).map(([origin, names]) => `${origin}: ${names.map((name) => name.replaceAll("_", " ")).join(", ")}`).join("; ");
}

listenToTabs();
listenToFiles();
listen(
  (id) => {
    if (id === release?.release) return;
    isLost ||= id === null;
    refresh();
  },
  (isSo) => {
    isLate = isSo;
    showBanner();
  },
);
refresh();
document.addEventListener("visibilitychange", () => document.hidden || refresh());
