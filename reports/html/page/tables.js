// Every table: click a heading to sort, type to filter, copy what is shown as TSV in full precision.
"use strict";

(() => {
  // So many rows are laid out; a table of thousands takes seconds. Sorting, filtering and copying are
  // about all of them.
  const kShown = 200;

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
        table.dispatchEvent(new CustomEvent("sorted"));
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

  // Rows of a long table that are not in the page's text; they come when they are first seen.
  function loadRest(box, table, done) {
    const note = box.querySelector(".rest");
    if (!note || typeof DecompressionStream === "undefined") return;
    note.hidden = true;
    const load = async () => {
      if (!note.isConnected) return;
      note.remove();
      const html = new TextDecoder().decode(await shardwise.unpack(note.dataset.rows));
      table.tBodies[0].insertAdjacentHTML("beforeend", html);
      box.dataset.rest = "loaded";
      done();
    };
    shardwise.onShow(box.closest("main > section").id.slice(2), load);
  }

  document.querySelectorAll(".table").forEach((box) => {
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const count = body.rows.length;
    const title = table.caption.textContent;
    if (count > 2) makeSortable(table);
    const tools = document.createElement("div");
    tools.className = "tools";
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = title;
    name.setAttribute("aria-hidden", "true");
    tools.append(name);
    if (count > 15) {
      box.classList.toggle("tall", count > 40);
      const label = document.createElement("label");
      const input = document.createElement("input");
      const shown = document.createElement("span");
      input.type = "search";
      input.setAttribute("aria-label", `Filter: ${title}`);
      label.append("Filter", input);
      shown.setAttribute("role", "status");
      shown.className = "note";
      const all = document.createElement("button");
      all.type = "button";
      all.textContent = "Show all";
      const texts = new Map();
      let most = kShown;
      const layOut = () => {
        let matching = 0;
        for (const row of body.rows) row.classList.toggle("more", !row.hidden && ++matching > most);
        const rest = matching > most ? `, the first ${most} shown` : "";
        shown.textContent = `${matching} of ${body.rows.length} rows${rest}`;
        all.hidden = matching <= most;
        box.dispatchEvent(new CustomEvent("shown"));
      };
      const apply = () => {
        const matches = matcher(input.value);
        for (const row of body.rows) {
          if (!texts.has(row)) texts.set(row, [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
          row.hidden = !matches(texts.get(row));
        }
        layOut();
      };
      all.addEventListener("click", () => {
        most = Infinity;
        layOut();
        box.querySelector(".scroll").focus();
      });
      table.addEventListener("sorted", layOut);
      input.addEventListener("input", apply);
      box.addEventListener("filter", (event) => { input.value = event.detail; apply(); });
      loadRest(box, table, apply);
      apply();
      tools.append(label, shown, all);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy TSV";
    button.setAttribute("aria-label", `Copy TSV: ${title}`);
    button.addEventListener("click", () => shardwise.copy(toTsv(table), "the table"));
    tools.append(button);
    box.prepend(tools);
  });
})();
