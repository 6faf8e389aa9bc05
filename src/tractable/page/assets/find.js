// In exported files there is no server to search: this hides the cells that lack the words.
"use strict";
const form = document.getElementById("finder");
const field = form.querySelector("input");
const cells = [...document.querySelectorAll("article[data-words]")];
form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\W+/).filter((word) => word.length > 2);
  const score = (cell) => words.filter((word) => cell.dataset.words.includes(word)).length;
  const best = Math.max(0, ...cells.map(score));
  for (const cell of cells) {
    cell.hidden = words.length > 0 && (best === 0 || score(cell) < Math.max(1, best - 1));
  }
  for (const family of document.querySelectorAll(".family")) {
    family.hidden = !family.querySelector("article:not([hidden])");
  }
});
