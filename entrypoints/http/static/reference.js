"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Make an element. Texts become text nodes, so nothing from the document is read as markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Follow a reference within the document. */
function resolved(api, schema) {
  const path = schema && schema.$ref ? schema.$ref.slice(2).split("/") : null;
  return path ? path.reduce((part, name) => part[name], api) : schema || {};
}

/** Describe a schema in a few words. */
function brief(api, schema) {
  const name = schema && schema.$ref ? schema.$ref.split("/").pop() + " " : "";
  const found = resolved(api, schema);
  if (found.anyOf) return found.anyOf.map((option) => brief(api, option)).join(" | ");
  if (found.allOf) return brief(api, found.allOf[0]);
  const words = [name + [].concat(found.type || "any").join(" | ")];
  if (found.items) words.push("of " + brief(api, found.items));
  if (found.format) words.push(`(${found.format})`);
  if (found.enum) words.push(found.enum.join(" · "));
  for (const bound of ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern"]) {
    if (found[bound] !== undefined) words.push(`${bound} ${found[bound]}`);
  }
  if (schema && schema.default !== undefined) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.join(" ");
}

/** List the members of an object schema. */
function members(api, schema) {
  const found = resolved(api, schema);
  if (!found.properties) return make("p", {}, brief(api, schema));
  const rows = Object.entries(found.properties).map(([name, part]) =>
    make("tr", {},
      make("td", {}, make("code", {}, name), (found.required || []).includes(name) ? " *" : ""),
      make("td", {}, brief(api, part)),
      make("td", {}, part.description || "")));
  return make("table", {}, ...rows);
}

function parameterTable(api, operation) {
  if (!operation.parameters.length) return null;
  const rows = operation.parameters.map((one) =>
    make("tr", {},
      make("td", {}, make("code", {}, one.name), one.required ? " *" : ""),
      make("td", {}, one.in),
      make("td", {}, brief(api, one.schema)),
      make("td", {}, make("input", { "data-name": one.name, "data-in": one.in, "aria-label": one.name }))));
  return make("table", {}, make("tr", {}, ...["parameter", "in", "form", "value"].map((word) => make("th", {}, word))),
    ...rows);
}

function jsonContent(part) {
  return part && part.content ? part.content["application/json"] : undefined;
}

function answerTable(api, operation) {
  const rows = Object.entries(operation.responses).map(([status, answer]) => {
    const content = jsonContent(answer);
    const what = content ? make("details", {}, make("summary", {}, "members"), members(api, content.schema),
      content.example === undefined ? null : make("pre", {}, JSON.stringify(content.example, null, 1))) : null;
    return make("tr", {}, make("td", {}, status), make("td", {}, ...codes(answer)), make("td", {}, what || ""));
  });
  return make("table", {}, make("tr", {}, ...["status", "", ""].map((word) => make("th", {}, word))), ...rows);
}

function codes(answer) {
  if (!answer["x-problem-codes"]) return [answer.description];
  return answer["x-problem-codes"].flatMap((code) => [make("a", { href: `/problems/${code}` }, code), " "]);
}

/** Send the request that the inputs of a section describe. */
async function send(section, method, template, output) {
  const values = [...section.querySelectorAll("input[data-in]")].filter((input) => input.value !== "");
  const headers = { Accept: "application/json" };
  const query = new URLSearchParams();
  let path = template;
  for (const { dataset, value } of values) {
    if (dataset.in === "path") path = path.replace(`{${dataset.name}}`, encodeURIComponent(value));
    else if (dataset.in === "query") query.set(dataset.name, value);
    else headers[dataset.name] = value;
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  const text = section.querySelector("textarea");
  if (text) headers["Content-Type"] = "application/json";
  const suffix = [...query].length ? `?${query}` : "";
  const options = { method: method.toUpperCase(), headers, body: text ? text.value : undefined };
  try {
    const answer = await fetch(path + suffix, options);
    const shown = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    output.textContent = `${answer.status}\n${shown}\n\n${pretty(await answer.text())}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text.slice(0, 100000);
  }
}

function operationSection(api, path, method, operation) {
  const content = jsonContent(operation.requestBody);
  const output = make("pre", { hidden: "" });
  const section = make("details", { id: operation.operationId },
    make("summary", {},
      make("span", { class: "method" }, method.toUpperCase()),
      make("span", { class: operation.deprecated ? "path deprecated" : "path" }, path),
      make("span", { class: "scope" }, operation["x-scope"])),
    make("p", {}, operation.summary),
    parameterTable(api, operation),
    content ? members(api, content.schema) : null,
    content ? make("textarea", { "aria-label": "Request body" }, JSON.stringify(content.example || {}, null, 1)) : null,
    make("button", { onclick: () => { output.hidden = false; send(section, method, path, output); } }, "Send"),
    output,
    make("h4", {}, "Answers"),
    answerTable(api, operation));
  return section;
}

function byTag(api) {
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => methods[one])) {
      const tag = methods[method].tags[0];
      tags.set(tag, [...(tags.get(tag) || []), [path, method, methods[method]]]);
    }
  }
  return tags;
}

function show(api) {
  document.getElementById("version").textContent = api.info.version;
  const contents = document.getElementById("contents");
  const main = document.getElementById("operations");
  for (const [tag, operations] of byTag(api)) {
    contents.append(make("strong", {}, tag));
    main.append(make("h2", {}, tag));
    for (const [path, method, operation] of operations) {
      const label = `${method.toUpperCase()} ${path}`;
      contents.append(make("a", { href: `#${operation.operationId}`, "data-label": label.toLowerCase() }, label));
      main.append(operationSection(api, path, method, operation));
    }
  }
  document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value.toLowerCase()));
  addEventListener("hashchange", openTarget);
  openTarget();
}

function filter(words) {
  for (const link of document.querySelectorAll("nav a")) {
    const hidden = !link.dataset.label.includes(words);
    link.hidden = hidden;
    document.getElementById(link.hash.slice(1)).hidden = hidden;
  }
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target) {
    target.open = true;
    target.scrollIntoView();
  }
}

fetch("/openapi.json").then((answer) => answer.json()).then(show);
