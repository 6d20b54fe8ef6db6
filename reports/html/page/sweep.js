// The sweep's chart and tables show the same points: choosing one anywhere marks it everywhere, and
// a filter of the points dims the others in the chart.
"use strict";

(async () => {
  const { byId } = shardwise;
  const chosen = byId("chosen"), chart = byId("sweep-chart"), tables = [byId("t-points"), byId("t-front")].filter(Boolean);
  if (!chart || typeof DecompressionStream === "undefined") return;
  const lines = new TextDecoder().decode(await shardwise.unpack("data-commands")).split("\n");
  const commands = new Map(lines.map((line) => line.split("\t")).map(([point, ...two]) => [point, two]));
  const marks = new Map([...chart.querySelectorAll("[data-key]")].map((mark) => [mark.dataset.key, mark]));
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  ring.setAttribute("class", "ring");
  ring.setAttribute("r", 9);

  // Position of the column "point" of a table, and the point of a row.
  const columnOf = (table) => [...table.tHead.rows[0].cells].findIndex((cell) => (cell.dataset.id ?? cell.textContent) === "point");
  const pointOf = (row, column) => row.cells[column].textContent;

  function commandLine(name, command) {
    const label = document.createElement("p"), line = document.createElement("div");
    const code = document.createElement("code"), button = document.createElement("button");
    label.className = "note";
    label.textContent = name;
    line.className = "command";
    code.textContent = command;
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy the command: ${name}`);
    button.addEventListener("click", () => shardwise.copy(command, "the command"));
    line.append(code, button);
    return [label, line];
  }

  function choose(point) {
    const known = commands.get(point);
    shardwise.setState("sel", known ? point : null);
    for (const table of tables) {
      const column = columnOf(table.querySelector("table"));
      for (const row of table.querySelectorAll("tbody tr")) {
        if (pointOf(row, column) === point) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
      }
    }
    ring.remove();
    if (!known) return;
    const mark = marks.get(point);
    if (mark) {
      ring.setAttribute("cx", mark.getAttribute("cx"));
      ring.setAttribute("cy", mark.getAttribute("cy"));
      mark.parentNode.append(ring);
    }
    const title = document.createElement("strong");
    title.textContent = `Point ${point}`;
    const tip = document.createElement("p");
    tip.textContent = mark ? mark.querySelector("title").textContent.replace(/^[^:]*: /, "") : "";
    chosen.replaceChildren(title, tip, ...commandLine("Here", known[0]), ...commandLine("In MaxText", known[1]));
  }

  chart.addEventListener("click", (event) => {
    const mark = event.target.closest("[data-key]");
    if (mark) choose(mark.dataset.key);
  });
  // The number of a point is a button, so that keys reach it.
  function addButtons(table) {
    const column = columnOf(table.querySelector("table"));
    for (const row of table.querySelectorAll("tbody tr")) {
      const cell = row.cells[column];
      if (cell.firstElementChild) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      button.setAttribute("aria-label", `Choose point ${cell.textContent}`);
      cell.replaceChildren(button);
    }
  }
  for (const table of tables) {
    addButtons(table);
    table.addEventListener("click", (event) => {
      const row = event.target.closest("tbody tr");
      if (row) choose(pointOf(row, columnOf(row.closest("table"))));
    });
    table.addEventListener("shown", () => {
      addButtons(table);
      if (table.id !== "t-points") return;
      const column = columnOf(table.querySelector("table"));
      const hidden = new Set([...table.querySelectorAll("tbody tr[hidden]")].map((row) => pointOf(row, column)));
      for (const [point, mark] of marks) mark.classList.toggle("off", hidden.has(point));
    });
  }
  const restore = () => { const point = shardwise.state.get("sel"); if (point) choose(point); };
  shardwise.onState(restore);
  restore();
  chart.dataset.ready = "true";
})();
