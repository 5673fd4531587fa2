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
