// The page at /: takes a picture, asks every loaded model, and shows what each says.

import { bars, parts } from "./charts.js";
import { ask, byId, bytes, element, milliseconds, percent, predictionAddress, problemBox, table } from "./dom.js";
import { DRAWINGS, asPng, draw } from "./drawings.js";

const PICTURES = ["image/png", "image/jpeg", "image/webp"];
const STAGES = ["read", "decode", "queue", "inference"];
let asking = null;

function modelAddress(model) {
  return `model?${new URLSearchParams({ name: model.name, version: model.version })}`;
}

/** A model's card, with nothing said yet. */
function emptyCard(model) {
  const title = model.name
    ? element("h2", {}, element("a", { href: modelAddress(model) }, model.name), ` version ${model.version}`)
    : element("h2", {}, "The default model");
  const facts = [];
  if (model.bundle_bytes) facts.push(`${model.compression_ratio.toFixed(0)}× smaller`, bytes(model.bundle_bytes));
  if (model.accuracy) facts.push(`${percent(model.accuracy)} accurate on its test set`);
  const body = element("div", { class: "answer" }, element("p", { class: "hint" }, "Waits for a picture."));
  return element("article", { class: "panel card" }, title, element("p", { class: "hint" }, facts.join(", ")), body);
}

/** A stage with its colour; the sums have none. */
function swatched(stage) {
  const coloured = stage === "other" || STAGES.includes(stage);
  return element("span", {}, ...(coloured ? [element("span", { class: `swatch ${stage}` })] : []), stage);
}

function stageTable(timing, browserMs) {
  const named = STAGES.reduce((sum, stage) => sum + timing[stage], 0);
  const rest = Math.max(0, timing.total - named);
  const shares = [...STAGES.map((stage) => [stage, timing[stage]]), ["other", rest]];
  const rows = [...shares, ["total", timing.total], ["browser's round trip", browserMs]];
  return [
    parts("Share of each stage in the total time", shares),
    table("Time of each stage", ["Stage", "Time"], rows.map(([stage, ms]) => [swatched(stage), milliseconds(ms)])),
  ];
}

function answered(prediction, browserMs) {
  const rows = prediction.top.map(({ label, probability }) => [label, probability, percent(probability)]);
  const said = rows.map(([label, , text]) => `${label} ${text}`).join(", ");
  return [
    element("p", { class: "verdict" }, prediction.label, " ", element("span", {}, percent(prediction.probability))),
    bars(`Probabilities: ${said}`, rows, 1),
    element("h3", {}, milliseconds(prediction.timing_ms.total), " in the server"),
    ...stageTable(prediction.timing_ms, browserMs),
  ];
}

/** Asks one model, and puts its answer or its problem on its card. */
async function askModel(model, card, picture, signal) {
  const body = card.querySelector(".answer");
  try {
    const started = performance.now();
    const type = PICTURES.includes(picture.type) ? picture.type : PICTURES[0]; // its content decides, not its name
    const options = { method: "POST", body: picture, headers: { "Content-Type": type }, signal };
    const prediction = await ask(predictionAddress(model, 5), options);
    body.replaceChildren(...answered(prediction, performance.now() - started));
    return `${model.name || prediction.model}: ${prediction.label}, ${percent(prediction.probability)}`;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    body.replaceChildren(problemBox(error));
    return `${model.name || "The default model"}: no answer, ${error.title}`;
  } finally {
    card.removeAttribute("aria-busy");
  }
}

async function loadedModels() {
  const { models } = await ask("models");
  return models.length ? models : [{ name: "", version: 0 }]; // nothing in memory: the first picture loads the default
}

function showPreview(picture) {
  const preview = byId("preview");
  URL.revokeObjectURL(preview.src);
  preview.hidden = false;
  preview.src = URL.createObjectURL(picture);
}

/** Classifies a picture with every model, one after the other, so that none slows another's clock. */
async function classify(picture, name) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  byId("problems").replaceChildren();
  byId("status").textContent = `Classifying ${name}`;
  showPreview(picture);
  try {
    const models = await loadedModels();
    if (signal.aborted) return;
    const cards = models.map(emptyCard);
    byId("cards").replaceChildren(...cards);
    cards.forEach((card) => card.setAttribute("aria-busy", "true"));
    const said = [];
    for (const [index, model] of models.entries()) said.push(await askModel(model, cards[index], picture, signal));
    byId("status").textContent = said.join(". ");
  } catch (error) {
    if (error.name === "AbortError") return;
    byId("status").textContent = "";
    byId("problems").replaceChildren(problemBox(error));
  }
}

function takeFirst(files) {
  if (files?.length) classify(files[0], files[0].name || "the pasted picture");
}

function listen() {
  const file = byId("file");
  const drop = byId("drop");
  byId("preview").addEventListener("error", () => (byId("preview").hidden = true));
  file.addEventListener("change", () => {
    takeFirst(file.files);
    file.value = ""; // the same file again is a change too
  });
  document.addEventListener("paste", (event) => takeFirst(event.clipboardData?.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    takeFirst(event.dataTransfer?.files);
  });
}

function offerExamples() {
  for (const name of Object.keys(DRAWINGS)) {
    const canvas = draw(name);
    const button = element("button", { type: "button", class: "example" }, canvas, name);
    button.addEventListener("click", async () => classify(await asPng(canvas), `the drawn ${name}`));
    byId("examples").append(button);
  }
}

async function start() {
  listen();
  offerExamples();
  try {
    const models = await loadedModels();
    if (!asking) byId("cards").replaceChildren(...models.map(emptyCard));
  } catch (error) {
    byId("problems").replaceChildren(problemBox(error));
  }
}

start();
