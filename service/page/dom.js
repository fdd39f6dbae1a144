// Elements, numbers and problems in words. Text goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

export const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const drawn = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;
export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1000).toFixed(1)} kB`;
  return `${(count / 1e6).toFixed(2)} MB`;
}

/** A table with a caption; the first cell of a row heads it. */
export function table(caption, headings, rows) {
  const head = element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...rest]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((text) => element("td", {}, text))),
  );
  const whole = element(
    "table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body),
  );
  return element("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, whole);
}

/** What the service refused, or that it did not answer. */
export class Refusal extends Error {
  constructor(title, detail, requestId = "") {
    super(detail);
    this.title = title;
    this.requestId = requestId;
  }
}

/** The JSON that an address answers with. Throws a Refusal, or AbortError where the caller gave up. */
export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("No answer", "The service could not be reached, or closed the connection.");
  }
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  const after = answer.headers.get("Retry-After");
  const wait = after ? ` Try again in ${after} s.` : "";
  throw new Refusal(
    problem.title || `Status ${answer.status}`,
    (problem.detail || "The service said no more than that.") + wait,
    problem.request_id || answer.headers.get("X-Request-ID") || "",
  );
}

/** A problem in words, for people. */
export function problemBox(error) {
  if (!(error instanceof Refusal)) throw error;
  const box = element("div", { class: "problem" }, element("strong", {}, error.title), element("p", {}, error.message));
  if (error.requestId) box.append(element("p", { class: "hint" }, `Request ${error.requestId}`));
  return box;
}

export function predictionAddress(model, topK) {
  const query = new URLSearchParams({ top_k: topK });
  if (model.name) query.set("model", model.name);
  if (model.version) query.set("version", model.version);
  return `predict?${query}`;
}
