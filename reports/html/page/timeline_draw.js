// Draws the timeline: lanes of slices, use of resources and memory, on a canvas. Times are picoseconds
// from the start of the step. timeline.js changes `view` and asks for a redraw.
"use strict";

function timelinePainter(box, data) {
  const canvas = box.querySelector("canvas"), ctx = canvas.getContext("2d");

  // Layout, in CSS pixels: overview, axis, then lanes, each with a line for its name.
  const kOverview = 22, kAxis = 22, kName = 17, kRow = 19, kLevel = 30, kMemory = 64, kGap = 4;
  const ops = data.lanes.find((lane) => lane.name.startsWith("XLA Ops"));
  const lanes = [];
  let height = kOverview + kAxis;
  function addLane(kind, name, size, rest) {
    lanes.push({ kind, name, top: height + kName, size, ...rest });
    height += kName + size + kGap;
  }
  for (const lane of data.lanes) {
    addLane("slices", lane.name, lane.rows.length * kRow, { lane });
    if (lane === ops && data.entries.some((entry) => entry.critical)) addLane("critical", "Critical path", 10, {});
  }
  data.resources.forEach((name, r) => addLane("level", name, kLevel, { resource: r }));
  if (data.memory.length > 0) addLane("memory", "HBM held", kMemory, {});
  // What runs on a device, as opposed to what groups it.
  const running = data.lanes.filter((lane) => lane.name !== "Steps" && lane.name !== "Blocks");

  const view = {
    width: 0, from: 0, to: data.total,
    selected: null,  // {lane: of data.lanes, index}
    mark: null,      // [from, to] being measured
    matches: null,   // by entry, while a search is on
  };
  let styles = new Map(), colours = {};

  // ---- Colours: what page.css and patterns.svg say, as canvas patterns.
  function readStyles() {
    const probe = document.createElement("span");
    document.body.append(probe);
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    colours = Object.fromEntries(["bg", "fg", "muted", "line", "accent", "bad"].map((n) => [n, colour("--" + n)]));
    for (const pattern of document.querySelectorAll("#patterns pattern")) {
      const [w, h] = [pattern.getAttribute("width"), pattern.getAttribute("height")].map(Number);
      const tile = document.createElement("canvas");
      const scale = 2;
      [tile.width, tile.height] = [w * scale, h * scale];
      const pen = tile.getContext("2d");
      pen.scale(scale, scale);
      const solid = getComputedStyle(pattern.firstElementChild).fill;
      pen.fillStyle = solid;
      pen.fillRect(0, 0, w, h);
      pen.strokeStyle = getComputedStyle(pattern.lastElementChild).stroke;
      pen.lineWidth = 1.2;
      pen.stroke(new Path2D(pattern.lastElementChild.getAttribute("d")));
      const fill = ctx.createPattern(tile, "repeat");
      fill.setTransform(new DOMMatrix().scale(1 / scale));
      const [r, g, b] = solid.match(/[\d.]+/g).map((c) => (Number(c) / 255) ** 2.2);
      const ink = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
      styles.set(pattern.id.slice(2), { solid, fill, ink });
    }
    probe.remove();
  }
  const kFill = { iteration: "loop", step: "loop" };
  const styleOf = (entry) => styles.get(kFill[entry.category] ?? entry.category) ?? styles.get("other");

  // ---- Drawing.
  const x = (time) => ((time - view.from) / (view.to - view.from)) * view.width;
  const timeAt = (px) => view.from + (px / view.width) * (view.to - view.from);

  // Slices narrower than a pixel share it; the longest of them is shown.
  function eachVisible(lane, order, draw) {
    let px = -1, best = -1;
    const flush = () => { if (best >= 0) draw(best, px, 1); best = -1; };
    for (let p = firstEndingAfter(lane, order, view.from); p < order.length; ++p) {
      const i = order[p];
      if (lane.begin[i] >= view.to) break;
      const left = Math.max(x(lane.begin[i]), -2), right = Math.min(x(lane.end[i]), view.width + 2);
      if (right - left >= 1) {
        flush();
        draw(i, left, right - left);
        continue;
      }
      if (Math.floor(left) !== px) { flush(); px = Math.floor(left); }
      if (best < 0 || lane.end[i] - lane.begin[i] > lane.end[best] - lane.begin[best]) best = i;
    }
    flush();
  }

  function drawSlices({ lane, top }) {
    lane.rows.forEach((order, r) => {
      const y = top + r * kRow;
      eachVisible(lane, order, (i, left, size) => {
        const entry = data.entries[lane.entry[i]], style = styleOf(entry);
        ctx.globalAlpha = view.matches && !view.matches[lane.entry[i]] ? 0.22 : 1;
        ctx.fillStyle = size < 4 ? style.solid : style.fill;
        const gap = size > 3 ? 0.5 : 0;
        ctx.fillRect(left, y, size - gap, kRow - 2);
        if (size > 34) drawLabel(entry.name, left, y, size, style);
        ctx.globalAlpha = 1;
      });
    });
  }
  function drawLabel(name, left, y, size, style) {
    const start = Math.max(left, 0) + 3, room = Math.floor((Math.min(left + size, view.width) - start) / 6.6);
    if (room < 4) return;
    const text = name.length > room ? name.slice(0, room - 1) + "\u2026" : name;
    ctx.fillStyle = style.solid;
    ctx.fillRect(start - 2, y + 2, text.length * 6.4 + 4, kRow - 6);
    ctx.fillStyle = style.ink;
    ctx.fillText(text, start, y + kRow / 2 - 0.5);
  }

  function drawCritical({ top, size }) {
    ctx.fillStyle = colours.line;
    ctx.fillRect(0, top + size / 2 - 0.5, view.width, 1);
    for (const lane of running) {
      for (const order of lane.rows) {
        eachVisible(lane, order, (i, left, w) => {
          const entry = data.entries[lane.entry[i]];
          if (!entry.critical) return;
          ctx.fillStyle = styleOf(entry).solid;
          ctx.fillRect(left, top + (lane === ops ? 0 : size / 2), w, size / 2);
        });
      }
    }
  }

  // Average use of every resource in every pixel, in one pass over what runs.
  function levels() {
    const out = data.resources.map(() => new Float64Array(view.width + 1));
    for (const lane of running) {
      for (const order of lane.rows) {
        for (let p = firstEndingAfter(lane, order, view.from); p < order.length; ++p) {
          const i = order[p];
          if (lane.begin[i] >= view.to) break;
          const use = data.entries[lane.entry[i]].use;
          if (use.length === 0) continue;
          const left = Math.max(x(lane.begin[i]), 0), right = Math.min(x(lane.end[i]), view.width);
          for (let px = Math.floor(left); px < right; ++px) {
            const share = Math.min(right, px + 1) - Math.max(left, px);
            for (let r = 0; r < use.length; ++r) out[r][px] += use[r] * share;
          }
        }
      }
    }
    return out;
  }
  function drawLevel({ top, size, resource }, values) {
    ctx.strokeStyle = colours.line;
    ctx.strokeRect(0.5, top + 0.5, view.width - 1, size - 1);
    ctx.fillStyle = styles.get(resourceFill(data.resources[resource])).solid;
    ctx.beginPath();
    ctx.moveTo(0, top + size);
    for (let px = 0; px < view.width; ++px) {
      const y = top + size * (1 - Math.min(values[resource][px], 1));
      ctx.lineTo(px, y);
      ctx.lineTo(px + 1, y);
    }
    ctx.lineTo(view.width, top + size);
    ctx.fill();
  }
  const gib = (bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  function drawMemory({ top, size }) {
    const most = Math.max(data.usable, ...data.memory.map(([, bytes]) => bytes)) * 1.05;
    const y = (bytes) => top + size * (1 - bytes / most);
    ctx.fillStyle = styles.get("temporary").solid;
    ctx.beginPath();
    ctx.moveTo(0, top + size);
    let peak = 0;
    data.memory.forEach(([begin, bytes], i) => {
      const next = data.memory[i + 1]?.[0] ?? data.total;
      if (next < view.from || begin > view.to) return;
      peak = Math.max(peak, bytes);
      ctx.lineTo(Math.max(x(begin), 0), y(bytes));
      ctx.lineTo(Math.min(x(next), view.width), y(bytes));
    });
    ctx.lineTo(view.width, top + size);
    ctx.fill();
    ctx.strokeStyle = colours.bad;
    ctx.setLineDash([6, 4]);
    ctx.strokeRect(-2, y(data.usable), view.width + 4, 0);
    ctx.setLineDash([]);
    ctx.fillStyle = colours.fg;
    ctx.fillText(`: up to ${gib(peak)} in this window; line: ${gib(data.usable)} usable`, 3 + ctx.measureText("HBM held").width, top - kName / 2);
  }
  const resourceFill = (name) => ({ mxu: "matmul", vpu: "pointwise", hbm: "indexing" })[name.slice(0, 3)] ?? "communication";

  function niceStep(span) {
    const rough = span / Math.max(2, view.width / 110), power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((m) => m * power >= rough);
  }
  function drawAxis() {
    const step = niceStep(view.to - view.from);
    const [unit, size] = [["s", 1e12], ["ms", 1e9], ["us", 1e6], ["ns", 1e3], ["ps", 1]].find(([, s]) => step >= s * 0.01 && view.to >= s) ?? ["ps", 1];
    const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
    ctx.font = font;
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      const px = Math.round(x(t)) + 0.5;
      ctx.strokeStyle = colours.line;
      ctx.beginPath();
      ctx.moveTo(px, kOverview + 4);
      ctx.lineTo(px, height);
      ctx.stroke();
      ctx.fillStyle = colours.muted;
      ctx.fillText(`${(t / size).toFixed(digits)} ${unit}`, px + 3, kOverview + kAxis / 2 + 2);
    }
  }
  const font = "12px system-ui, sans-serif";

  // The whole step in one line, with the window that is shown below.
  let overview = null;
  function drawOverview() {
    if (!overview || overview.width !== canvas.width) {
      const [a, b] = [view.from, view.to];
      [view.from, view.to] = [0, data.total];
      for (const order of ops.rows) {
        eachVisible(ops, order, (i, left, size) => {
          ctx.fillStyle = styleOf(data.entries[ops.entry[i]]).solid;
          ctx.fillRect(left, 2, size, kOverview - 6);
        });
      }
      [view.from, view.to] = [a, b];
      overview = document.createElement("canvas");
      [overview.width, overview.height] = [canvas.width, Math.round(kOverview * ratio)];
      overview.getContext("2d").drawImage(canvas, 0, 0);
    }
    ctx.drawImage(overview, 0, 0, view.width, kOverview);
    const left = (view.from / data.total) * view.width, right = (view.to / data.total) * view.width;
    ctx.fillStyle = colours.bg;
    ctx.globalAlpha = 0.65;
    ctx.fillRect(0, 0, left, kOverview - 3);
    ctx.fillRect(right, 0, view.width - right, kOverview - 3);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = colours.fg;
    ctx.lineWidth = 2;
    ctx.strokeRect(left + 1, 1, Math.max(right - left - 2, 2), kOverview - 4);
    ctx.lineWidth = 1;
  }

  let ratio = 1, scheduled = false;
  function draw() {
    scheduled = false;
    const room = Math.floor(box.clientWidth);
    if (room === 0) return;  // not shown
    ratio = devicePixelRatio || 1;
    if (room !== view.width || canvas.width !== Math.round(room * ratio)) {
      view.width = room;
      [canvas.width, canvas.height] = [Math.round(room * ratio), Math.round(height * ratio)];
      canvas.style.height = height + "px";
      overview = null;
    }
    if (styles.size === 0) readStyles();
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.textBaseline = "middle";
    ctx.fillStyle = colours.bg;
    ctx.fillRect(0, 0, view.width, height);
    drawOverview();
    drawAxis();
    const values = levels();
    for (const lane of lanes) {
      ctx.font = font;
      if (lane.kind === "slices") drawSlices(lane);
      else if (lane.kind === "critical") drawCritical(lane);
      else if (lane.kind === "memory") drawMemory(lane);
      else drawLevel(lane, values);
      const use = lane.kind === "level" ? `: ${percent(average(values[lane.resource]))} of this window` : "";
      ctx.fillStyle = colours.fg;
      ctx.fillText(lane.name + use, 3, lane.top - kName / 2);
    }
    if (view.mark) drawMark();
    if (view.selected) outline();
  }
  const average = (values) => values.reduce((sum, v) => sum + v, 0) / view.width;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  function redraw() {
    if (!scheduled) requestAnimationFrame(draw);
    scheduled = true;
  }
  function drawMark() {
    const [left, right] = view.mark.map(x);
    ctx.fillStyle = colours.accent;
    ctx.globalAlpha = 0.18;
    ctx.fillRect(left, kOverview, right - left, height);
    ctx.globalAlpha = 1;
    ctx.fillRect(left - 1, kOverview, 2, height);
    ctx.fillRect(right - 1, kOverview, 2, height);
  }
  function outline() {
    const { lane, index } = view.selected, { top } = lanes.find((l) => l.lane === lane);
    ctx.strokeStyle = colours.fg;
    ctx.lineWidth = 2.5;
    const left = Math.max(x(lane.begin[index]), -3), right = Math.min(x(lane.end[index]), view.width + 3);
    ctx.strokeRect(left, top + lane.row[index] * kRow - 1, Math.max(right - left, 2), kRow);
    ctx.lineWidth = 1;
  }

  function recolour() {
    styles = new Map();
    overview = null;
    redraw();
  }
  return { view, lanes, ops, running, kOverview, kRow, timeAt, percent, redraw, recolour };
}
