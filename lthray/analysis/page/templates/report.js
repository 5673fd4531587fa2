"use strict";
// Tables sort by the column whose heading is pressed; without this script they stay as they are written.
const number = (text) => parseFloat(text.replaceAll(",", "").replaceAll("−", "-"));

function compare(a, b) {
  const [x, y] = [number(a), number(b)];
  if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b);
  if (Number.isNaN(x)) return 1;
  if (Number.isNaN(y)) return -1;
  return x - y;
}

function sort(table, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  const column = Number(heading.dataset.column);
  const text = (row) => row.cells[column].textContent.trim();
  const body = table.tBodies[0];
  const empty = (row) => text(row) === "–";
  const rows = [...body.rows].sort((a, b) => {
    if (empty(a) || empty(b)) return empty(a) - empty(b);
    return descending ? compare(text(b), text(a)) : compare(text(a), text(b));
  });
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  body.append(...rows);
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  for (const heading of table.querySelectorAll("th[data-column]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, heading));
    heading.append(button);
  }
}

// What is folded away would be missing on paper; the evidence would bury the rest.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open]):not(.evidence)")) {
    folded.open = true;
    folded.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const folded of document.querySelectorAll("details[data-folded]")) {
    folded.open = false;
    delete folded.dataset.folded;
  }
});

// Figures: their legend shows and hides lines, and the nearest point says its numbers, under the pointer or by arrow keys.
const REACH = 24;

// The share of an axis that lies below a value; limits are [low, high, whether the axis is logarithmic].
function along([low, high, logarithmic], value) {
  const scale = logarithmic ? Math.log : (x) => x;
  return (scale(value) - scale(low)) / (scale(high) - scale(low));
}

// The points of a figure, in the units of its view box.
function listPoints(data, [, , width, height]) {
  return data.series.map((series) => {
    const { box, x, y } = data.panels[series.panel];
    const [left, top, right, bottom] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
    return series.mean.flatMap((mean, place) => {
      if (mean === null) return [];
      const across = data.columns[series.column][place];
      return [{
        series, across, mean, sd: series.sd[place], n: Array.isArray(series.n) ? series.n[place] : series.n,
        x: left + along(x, across) * (right - left), y: bottom - along(y, mean) * (bottom - top),
      }];
    });
  });
}

function describePoint(data, point) {
  const decimals = (value) => (value < 10 ? 3 : value < 1000 ? 1 : 0);
  const write = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
  const spread = point.sd === null ? "" : ` ± ${write(point.sd, decimals(point.mean))}`;
  const mean = `${write(point.mean, decimals(point.mean))}${spread}`;
  return [
    point.series.name,
    `${data.across}: ${write(point.across, decimals(point.across))}`,
    `${data.panels[point.series.panel].quantity}: ${mean} (n = ${point.n})`,
  ];
}

function animate(picture) {
  const svg = picture.querySelector("svg[data-series]");
  if (!svg) return;
  const data = JSON.parse(svg.dataset.series);
  const part = (name) => document.getElementById(`${svg.id}-${name}`);
  const hidden = new Set();

  data.entries.forEach((entry, place) => {
    const own = data.series.map((series, index) => (series.entry === entry ? index : -1)).filter((index) => index >= 0);
    const button = part(`entry-${place}`);
    if (!button || !own.length) return;
    const toggle = () => {
      const off = !hidden.delete(entry) && Boolean(hidden.add(entry));
      for (const index of own) {
        const name = `${svg.id}-series-${index}`;
        const groups = svg.querySelectorAll(`[id="${name}"], [id^="${name}-"]`);
        groups.forEach((group) => group.classList.toggle("hidden", off));
      }
      for (const name of ["entry", "key"]) part(`${name}-${place}`)?.classList.toggle("off", off);
      button.setAttribute("aria-pressed", String(!off));
      show(null);
    };
    svg.setAttribute("role", "group");
    button.setAttribute("role", "button");
    button.setAttribute("tabindex", "0");
    button.setAttribute("aria-label", `Show ${entry}`);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    for (const name of ["entry", "key"]) {
      part(`${name}-${place}`)?.classList.add("entry");
      part(`${name}-${place}`)?.addEventListener("click", toggle);
    }
  });
  if (!data.series.length) return;

  const points = listPoints(data, svg.getAttribute("viewBox").split(" ").map(Number));
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  const mark = document.createElementNS(svg.namespaceURI, "circle");
  mark.setAttribute("class", "mark hidden");
  mark.setAttribute("r", "5");
  picture.append(tip);
  svg.append(mark);
  let current = null;

  function show(point) {
    current = point;
    mark.classList.toggle("hidden", !point);
    tip.replaceChildren();
    if (!point) return;
    mark.setAttribute("cx", point.x);
    mark.setAttribute("cy", point.y);
    for (const line of describePoint(data, point)) {
      const row = document.createElement("div");
      row.textContent = line;
      tip.append(row);
    }
    const matrix = svg.getScreenCTM();
    const frame = picture.getBoundingClientRect();
    const [x, y] = [matrix.a * point.x + matrix.e - frame.left, matrix.d * point.y + matrix.f - frame.top];
    const left = Math.min(Math.max(x + 12, 4), frame.width - tip.offsetWidth - 8);
    const above = y - tip.offsetHeight - 10;
    tip.style.left = `${picture.scrollLeft + Math.max(left, 4)}px`;
    tip.style.top = `${above > 4 ? above : y + 12}px`;
  }

  const visible = () => points.filter((line) => line.length && !hidden.has(line[0].series.entry));
  const follow = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let [nearest, least] = [null, REACH];
    for (const point of visible().flat()) {
      const distance = Math.hypot(point.x - at.x, point.y - at.y);
      if (distance < least) [nearest, least] = [point, distance];
    }
    if (nearest !== current) show(nearest);
  };
  for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, follow);
  svg.addEventListener("pointerleave", () => show(null));
  picture.addEventListener("blur", () => show(null));
  picture.addEventListener("keydown", (event) => {
    if (event.target !== picture) return;
    const lines = visible();
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape") show(null);
    if (!step || !lines.length) return;
    event.preventDefault();
    const line = lines.findIndex((candidate) => candidate.includes(current));
    if (line < 0) return show(lines[0][0]);
    const next = lines[(line + step[0] + lines.length) % lines.length];
    const place = lines[line].indexOf(current) + step[1];
    show(next[Math.min(Math.max(place, 0), next.length - 1)]);
  });
}

document.querySelectorAll(".picture").forEach(animate);
