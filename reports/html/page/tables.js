// Every table: click a heading to sort, type to filter, copy what is shown as TSV in full precision.
"use strict";

(() => {
  const exact = (cell) => cell.dataset.v ?? cell.textContent;

  // Empty cells last, numbers by value, anything else by text.
  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === "");
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  }

  function makeSortable(table) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      if (heading.tagName !== "TH") return;
      const button = document.createElement("button");
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        // Numbers are wanted largest first, names from A.
        const first = heading.classList.contains("t") ? "ascending" : "descending";
        const second = first === "ascending" ? "descending" : "ascending";
        const order = heading.getAttribute("aria-sort") === first ? second : first;
        headings.forEach((h) => h.hasAttribute("aria-sort") && h.setAttribute("aria-sort", "none"));
        heading.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("sum"));
        const keyed = rows.map((row) => [exact(row.cells[column]), row]);
        keyed.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : sign * compare(a, b)));
        table.tBodies[0].prepend(...keyed.map(([, row]) => row));
      });
    });
  }

  function toTsv(table) {
    const clean = (text) => text.replace(/[\t\r\n]+/g, " ");
    const columns = [...table.tHead.rows[0].cells].map((cell, i) => [cell, i]).filter(([cell]) => cell.tagName === "TH");
    const lines = [columns.map(([cell]) => clean(cell.dataset.id ?? cell.textContent)).join("\t")];
    for (const row of table.tBodies[0].rows) {
      if (!row.hidden) lines.push(columns.map(([, i]) => clean(exact(row.cells[i]))).join("\t"));
    }
    return lines.join("\n") + "\n";
  }

  // "gather bwd -norm": rows with the first two words and without the third.
  function matcher(query) {
    const words = query.toLowerCase().split(/\s+/).filter((word) => word && word !== "-");
    return (text) => words.every((word) => (word[0] === "-" ? !text.includes(word.slice(1)) : text.includes(word)));
  }

  document.querySelectorAll(".table").forEach((box) => {
    const table = box.querySelector("table");
    const rows = [...table.tBodies[0].rows];
    const name = table.caption.textContent;
    if (rows.length > 1) makeSortable(table);
    const tools = document.createElement("div");
    tools.className = "tools";
    if (rows.length > 8) {
      box.classList.toggle("tall", rows.length > 30);
      const label = document.createElement("label");
      const input = document.createElement("input");
      const count = document.createElement("span");
      input.type = "search";
      label.append("Filter", input);
      input.setAttribute("aria-label", `Filter: ${name}`);
      count.setAttribute("role", "status");
      count.className = "note";
      const texts = new Map();
      const apply = () => {
        const matches = matcher(input.value);
        let shown = 0;
        for (const row of rows) {
          if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
          row.hidden = !matches(texts.get(row));
          shown += !row.hidden;
        }
        count.textContent = `${shown} of ${rows.length} rows`;
      };
      input.addEventListener("input", apply);
      box.addEventListener("filter", (event) => { input.value = event.detail; apply(); });
      apply();
      tools.append(label, count);
    }
    const button = document.createElement("button");
    button.textContent = "Copy TSV";
    button.setAttribute("aria-label", `Copy as TSV: ${name}`);
    button.addEventListener("click", () => shardwise.copy(toTsv(table), "the table"));
    tools.append(button);
    box.prepend(tools);
  });
})();
