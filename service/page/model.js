// The page at /model?name=&version=: how one model got small, and how quick it is.

import { bars, figure, path, runs } from "./charts.js";
import { ask, byId, bytes, element, milliseconds, percent, predictionAddress, problemBox, table } from "./dom.js";
import { asPng, draw } from "./drawings.js";
import { histogram, quantile } from "./latency.js";

const STAGES = ["dense", "prune", "retrain", "share", "centroids", "decoded"]; // in the order they are run
const POLL_MS = 2000;
const RUNS = 20;

const words = (name) => name.replaceAll("_", " ");

function tile(value, label) {
  return element("div", { class: "tile" }, element("dd", {}, value), element("dt", {}, label));
}

function tiles(model) {
  const shown = [
    tile(`${model.compression_ratio.toFixed(1)}×`, "smaller than dense float32"),
    tile(bytes(model.bundle_bytes), "the bundle's file"),
    tile(percent(model.sparsity), "of the weights are zero"),
    tile(model.bits_per_weight.toFixed(2), "bits for each parameter"),
    tile(milliseconds(model.decode_ms), "to decode, at load"),
  ];
  if (model.accuracy !== null) shown.splice(1, 0, tile(percent(model.accuracy, 2), "accuracy on the test set"));
  return element("dl", { class: "tiles" }, ...shown);
}

function sizes(model) {
  const rows = [
    ["dense network", model.dense_bytes, bytes(model.dense_bytes)],
    ["bundle", model.bundle_bytes, bytes(model.bundle_bytes)],
    ["in memory", model.resident_bytes, bytes(model.resident_bytes)],
  ];
  const note = "The same network as a float32 state_dict, as this file, and as the engine holds it.";
  return numbers("Size", note, "Bytes", rows);
}

function numbers(title, note, unit, rows, most) {
  const said = `${title}: ${rows.map(([label, , text]) => `${label} ${text}`).join(", ")}`;
  const cells = rows.map(([label, , text]) => [label, text]);
  return figure(title, note, bars(said, rows, most), ["What", unit], cells);
}

function kinds(model) {
  const sorted = Object.entries(model.bytes_by_kind).filter(([, count]) => count).sort(([, a], [, b]) => b - a);
  const rows = sorted.map(([kind, count]) => [words(kind), count, bytes(count)]);
  return numbers("Bytes by kind", "Every byte of the file, by what it holds.", "Bytes", rows);
}

function layers(model) {
  const weights = model.layers.filter(({ shape }) => shape.length > 1);
  if (!weights.length) return [];
  const sparsity = weights.map((layer) => [layer.name, layer.sparsity, percent(layer.sparsity)]);
  const bits = weights.map((layer) => {
    const each = (8 * layer.bundle_bytes) / layer.elements;
    return [layer.name, each, each.toFixed(2)];
  });
  return [
    numbers("Sparsity by layer", "Share of a layer's values that is zero, bias included.", "Zeros", sparsity, 1),
    numbers("Bits by layer", "Bits in the file for each value of the layer; float32 has 32.", "Bits a value", bits),
  ];
}

function accuracyByStage(model) {
  const stages = model.provenance.stages;
  if (typeof stages !== "object" || stages === null) return [];
  const rank = (stage) => (STAGES.includes(stage) ? STAGES.indexOf(stage) : STAGES.length);
  const rows = Object.entries(stages)
    .filter(([, accuracy]) => typeof accuracy === "number")
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([stage, accuracy]) => [words(stage), accuracy, percent(accuracy)]);
  if (!rows.length) return [];
  const said = `Accuracy: ${rows.map(([stage, , text]) => `${stage} ${text}`).join(", ")}`;
  const note = "On pictures held out of training, as its maker recorded it after each stage. The axis spans these values only.";
  return [figure("Accuracy, stage by stage", note, path(said, rows), ["After", "Accuracy"], rows.map(([a, , b]) => [a, b]))];
}

async function showLive(model) {
  const answer = await fetch("metrics").catch(() => null);
  if (!answer?.ok) return;
  const text = await answer.text();
  const whole = histogram(text, "csrve_request_duration_seconds", model);
  const engine = histogram(text, "csrve_inference_duration_seconds", model);
  const shown = (value) => (whole.count ? milliseconds(value) : "none yet");
  byId("live").replaceChildren(
    tile(String(whole.count), "predictions"),
    tile(shown(quantile(whole, 0.5)), "half of them within"),
    tile(shown(quantile(whole, 0.99)), "99% of them within"),
    tile(shown((1000 * engine.sum) / (engine.count || 1)), "in the engine, on average"),
  );
}

/** Sends one drawn picture again and again, one at a time, and shows how long each took. */
async function measure(model) {
  const picture = await asPng(draw("ship"));
  const options = { method: "POST", body: picture, headers: { "Content-Type": "image/png" } };
  const times = [];
  for (let run = 0; run < RUNS; run += 1) {
    times.push((await ask(predictionAddress(model, 1), options)).timing_ms.total);
  }
  const middle = [...times].sort((a, b) => a - b)[Math.floor(RUNS / 2)];
  const said = `${RUNS} predictions: the middle one took ${milliseconds(middle)}, the longest ${milliseconds(Math.max(...times))}.`;
  const rows = times.map((time, run) => [String(run + 1), milliseconds(time)]);
  const all = element("details", {}, element("summary", {}, "As a table"), table("Time of each run", ["Run", "Time"], rows));
  byId("runs").replaceChildren(runs(said, times), all);
  byId("measured").textContent = said;
}

function listen(model) {
  const button = byId("measure");
  button.addEventListener("click", async () => {
    button.setAttribute("aria-disabled", "true"); // disabled would take the focus away
    byId("measured").textContent = "Timing";
    try {
      await measure(model);
    } catch (error) {
      byId("measured").textContent = "";
      byId("problems").replaceChildren(problemBox(error));
    }
    button.removeAttribute("aria-disabled");
    await showLive(model);
  });
  setInterval(() => document.hidden || showLive(model), POLL_MS);
}

async function start() {
  const query = new URLSearchParams(location.search);
  const name = query.get("name") || "";
  const version = query.get("version") || "latest";
  byId("name").textContent = name || "No model is named";
  document.title = `csrve: ${name}`;
  try {
    const address = `models/${encodeURIComponent(name)}?${new URLSearchParams({ version })}`;
    const model = await ask(address);
    const parameters = model.parameters.toLocaleString("en");
    byId("about").textContent = `Version ${model.version}, ${model.architecture}, ${parameters} parameters, ${model.class_names.length} classes`;
    byId("figures").replaceChildren(tiles(model));
    byId("charts").replaceChildren(
      element("div", { class: "stack" }, sizes(model), ...accuracyByStage(model)), kinds(model), ...layers(model),
    );
    byId("latency").hidden = false;
    listen(model);
    await showLive(model);
  } catch (error) {
    byId("problems").replaceChildren(problemBox(error));
  }
}

start();
