// The timeline: lanes of slices on a canvas, with zoom, pan, search, measuring and selection. Times
// are picoseconds from the start of the step.
"use strict";

(async () => {
  const { byId } = shardwise;
  const box = byId("tl");
  if (!box) return;
  if (typeof DecompressionStream === "undefined") {
    byId("timeline").classList.add("static");
    shardwise.say("The timeline can be zoomed in browsers that have DecompressionStream.");
    return;
  }
  const data = readTimeline(await shardwise.unpack("data-timeline"));
  const canvas = box.querySelector("canvas"), ctx = canvas.getContext("2d");
  const tip = byId("tip"), details = byId("tl-details"), found = byId("tl-found"), search = byId("tl-search");

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

  let width = 0, from = 0, to = data.total;
  let selected = null;  // {lane: of data.lanes, index}
  let mark = null;      // [from, to] being measured
  let matches = null;   // by entry, while a search is on
  let found_at = -1;
  let styles = new Map(), colours = {};

  // ---- Colours: what page.css and patterns.svg say, as canvas patterns.
  function readStyles() {
    const probe = document.createElement("span");
    document.body.append(probe);
    const colour = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    colours = Object.fromEntries(["bg", "panel", "fg", "muted", "line", "accent", "mark", "bad"].map((n) => [n, colour("--" + n)]));
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
  const x = (time) => ((time - from) / (to - from)) * width;
  const timeAt = (px) => from + (px / width) * (to - from);

  // Slices narrower than a pixel share it; the longest of them is shown.
  function eachVisible(lane, order, draw) {
    let px = -1, best = -1;
    const flush = () => { if (best >= 0) draw(best, px, 1); best = -1; };
    for (let p = firstEndingAfter(lane, order, from); p < order.length; ++p) {
      const i = order[p];
      if (lane.begin[i] >= to) break;
      const left = Math.max(x(lane.begin[i]), -2), right = Math.min(x(lane.end[i]), width + 2);
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
        ctx.globalAlpha = matches && !matches[lane.entry[i]] ? 0.22 : 1;
        ctx.fillStyle = size < 4 ? style.solid : style.fill;
        const gap = size > 3 ? 0.5 : 0;
        ctx.fillRect(left, y, size - gap, kRow - 2);
        if (size > 34) drawLabel(entry.name, left, y, size, style);
        ctx.globalAlpha = 1;
      });
    });
  }
  function drawLabel(name, left, y, size, style) {
    const start = Math.max(left, 0) + 3, room = Math.floor((Math.min(left + size, width) - start) / 6.6);
    if (room < 4) return;
    const text = name.length > room ? name.slice(0, room - 1) + "\u2026" : name;
    ctx.fillStyle = style.solid;
    ctx.fillRect(start - 2, y + 2, text.length * 6.4 + 4, kRow - 6);
    ctx.fillStyle = style.ink;
    ctx.fillText(text, start, y + kRow / 2 - 0.5);
  }

  function drawCritical({ top, size }) {
    ctx.fillStyle = colours.line;
    ctx.fillRect(0, top + size / 2 - 0.5, width, 1);
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
    const out = data.resources.map(() => new Float64Array(width + 1));
    for (const lane of running) {
      for (const order of lane.rows) {
        for (let p = firstEndingAfter(lane, order, from); p < order.length; ++p) {
          const i = order[p];
          if (lane.begin[i] >= to) break;
          const use = data.entries[lane.entry[i]].use;
          if (use.length === 0) continue;
          const left = Math.max(x(lane.begin[i]), 0), right = Math.min(x(lane.end[i]), width);
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
    ctx.strokeRect(0.5, top + 0.5, width - 1, size - 1);
    ctx.fillStyle = styles.get(resourceFill(data.resources[resource])).solid;
    ctx.beginPath();
    ctx.moveTo(0, top + size);
    for (let px = 0; px < width; ++px) {
      const y = top + size * (1 - Math.min(values[resource][px], 1));
      ctx.lineTo(px, y);
      ctx.lineTo(px + 1, y);
    }
    ctx.lineTo(width, top + size);
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
      if (next < from || begin > to) return;
      peak = Math.max(peak, bytes);
      ctx.lineTo(Math.max(x(begin), 0), y(bytes));
      ctx.lineTo(Math.min(x(next), width), y(bytes));
    });
    ctx.lineTo(width, top + size);
    ctx.fill();
    ctx.strokeStyle = colours.bad;
    ctx.setLineDash([6, 4]);
    ctx.strokeRect(-2, y(data.usable), width + 4, 0);
    ctx.setLineDash([]);
    ctx.fillStyle = colours.fg;
    ctx.fillText(`: up to ${gib(peak)} in this window; line: ${gib(data.usable)} usable`, 3 + ctx.measureText("HBM held").width, top - kName / 2);
  }
  const resourceFill = (name) => ({ mxu: "matmul", vpu: "pointwise", hbm: "indexing" })[name.slice(0, 3)] ?? "communication";

  function niceStep(span) {
    const rough = span / Math.max(2, width / 110), power = 10 ** Math.floor(Math.log10(rough));
    return power * [1, 2, 5, 10].find((m) => m * power >= rough);
  }
  function drawAxis() {
    const step = niceStep(to - from);
    const [unit, size] = [["s", 1e12], ["ms", 1e9], ["us", 1e6], ["ns", 1e3], ["ps", 1]].find(([, s]) => step >= s * 0.01 && to >= s) ?? ["ps", 1];
    const digits = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
    ctx.font = font;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
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
      const [a, b] = [from, to];
      [from, to] = [0, data.total];
      for (const order of ops.rows) {
        eachVisible(ops, order, (i, left, size) => {
          ctx.fillStyle = styleOf(data.entries[ops.entry[i]]).solid;
          ctx.fillRect(left, 2, size, kOverview - 6);
        });
      }
      [from, to] = [a, b];
      overview = document.createElement("canvas");
      [overview.width, overview.height] = [canvas.width, Math.round(kOverview * ratio)];
      overview.getContext("2d").drawImage(canvas, 0, 0);
    }
    ctx.drawImage(overview, 0, 0, width, kOverview);
    const left = (from / data.total) * width, right = (to / data.total) * width;
    ctx.fillStyle = colours.bg;
    ctx.globalAlpha = 0.65;
    ctx.fillRect(0, 0, left, kOverview - 3);
    ctx.fillRect(right, 0, width - right, kOverview - 3);
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
    if (room !== width || canvas.width !== Math.round(room * ratio)) {
      width = room;
      [canvas.width, canvas.height] = [Math.round(room * ratio), Math.round(height * ratio)];
      canvas.style.height = height + "px";
      overview = null;
    }
    if (styles.size === 0) readStyles();
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.textBaseline = "middle";
    ctx.fillStyle = colours.bg;
    ctx.fillRect(0, 0, width, height);
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
    if (mark) drawMark();
    if (selected) outline();
  }
  const average = (values) => values.reduce((sum, v) => sum + v, 0) / width;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  function redraw() {
    if (!scheduled) requestAnimationFrame(draw);
    scheduled = true;
  }
  function drawMark() {
    const [left, right] = mark.map(x);
    ctx.fillStyle = colours.accent;
    ctx.globalAlpha = 0.18;
    ctx.fillRect(left, kOverview, right - left, height);
    ctx.globalAlpha = 1;
    ctx.fillRect(left - 1, kOverview, 2, height);
    ctx.fillRect(right - 1, kOverview, 2, height);
  }
  function outline() {
    const { lane, index } = selected, { top } = lanes.find((l) => l.lane === lane);
    ctx.strokeStyle = colours.fg;
    ctx.lineWidth = 2.5;
    const left = Math.max(x(lane.begin[index]), -3), right = Math.min(x(lane.end[index]), width + 3);
    ctx.strokeRect(left, top + lane.row[index] * kRow - 1, Math.max(right - left, 2), kRow);
    ctx.lineWidth = 1;
  }

  // ---- The window.
  function setWindow(a, b) {
    const size = Math.min(Math.max(b - a, 1000), data.total);
    from = Math.min(Math.max(a, 0), data.total - size);
    to = from + size;
    redraw();
    const seconds = (t) => String(Number((t / 1e12).toFixed(12)));
    shardwise.setState("t", from === 0 && to === data.total ? null : `${seconds(from)}-${seconds(to)}`);
  }
  function zoom(factor, centre = (from + to) / 2) {
    setWindow(centre - (centre - from) * factor, centre + (to - centre) * factor);
  }
  const pan = (share) => setWindow(from + share * (to - from), to + share * (to - from));
  function fit() {
    if (!selected || (from === 0 && to === data.total) === false && isFitted()) return setWindow(0, data.total);
    const [a, b] = spanOf(selected);
    setWindow(a - (b - a) * 0.1, b + (b - a) * 0.1);
  }
  const spanOf = ({ lane, index }) => [lane.begin[index], lane.end[index]];
  function isFitted() {
    const [a, b] = spanOf(selected);
    return Math.abs((b - a) * 1.2 - (to - from)) < 1;
  }

  // ---- Selection.
  function describe(lane, index) {
    const entry = data.entries[lane.entry[index]];
    const rows = [["time", `${formatTime(lane.end[index] - lane.begin[index])} from ${formatTime(lane.begin[index])}`], ["lane", lane.name]];
    const kind = [entry.category, entry.phase].filter(Boolean).join(", ");
    if (kind) rows.push(["kind", kind]);
    if (entry.scope) rows.push(["in", entry.scope]);
    if (entry.block) rows.push(["block", entry.block]);
    if (entry.critical) rows.push(["critical path", "yes"]);
    rows.push(...entry.details);
    const busy = entry.use.map((use, r) => [use, data.resources[r]]).filter(([use]) => use > 0).sort(([a], [b]) => b - a);
    if (busy.length > 0) rows.push(["uses", busy.map(([use, name]) => `${name} ${percent(use)}`).join(", ")]);
    return [entry, rows];
  }
  function pairs(rows) {
    const list = document.createElement("dl");
    list.className = "pairs";
    for (const [label, text] of rows) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = label;
      dd.textContent = text;
      list.append(dt, dd);
    }
    return list;
  }
  function heading(text) {
    const strong = document.createElement("strong");
    strong.textContent = text;
    return strong;
  }
  function select(lane, index, follow = true) {
    selected = lane ? { lane, index } : null;
    shardwise.setState("sel", lane ? `${data.lanes.indexOf(lane)}.${index}` : null);
    if (!lane) {
      details.replaceChildren("Click a slice, or move with the arrow keys, to see what it is.");
      return redraw();
    }
    const [entry, rows] = describe(lane, index);
    const button = document.createElement("button");
    button.textContent = "Show among the ops";
    button.addEventListener("click", () => {
      shardwise.openSection("ops");
      byId("t-ops").dispatchEvent(new CustomEvent("filter", { detail: entry.name.replace(/^wait /, "") }));
      byId("tab-ops").focus();
    });
    details.replaceChildren(heading(entry.name), pairs(rows), ...(entry.block ? [button] : []));
    const [a, b] = spanOf(selected), size = to - from;
    if (follow && (b <= from || a >= to)) setWindow((a + b - size) / 2, (a + b + size) / 2);
    redraw();
  }
  const firstShown = () => ({ lane: ops, index: ops.rows[0][firstEndingAfter(ops, ops.rows[0], from)] ?? 0 });
  function step(by) {
    if (!selected) { const s = firstShown(); return select(s.lane, s.index); }
    const { lane, index } = selected, order = lane.rows[lane.row[index]];
    const next = order[order.indexOf(index) + by];
    if (next !== undefined) select(lane, next);
  }
  // The row above or below, across lanes, at the same time.
  function climb(by) {
    const rows = data.lanes.flatMap((lane) => lane.rows.map((order) => ({ lane, order })));
    const { lane, index } = selected ?? firstShown();
    const here = rows.findIndex((row) => row.order === lane.rows[lane.row[index]]);
    const next = rows[here + by];
    if (!next) return;
    const at = firstEndingAfter(next.lane, next.order, Math.max(from, lane.begin[index]));
    select(next.lane, next.order[Math.min(at, next.order.length - 1)]);
  }

  // ---- Measuring: what the TensorCore does in a stretch of time.
  function measure(a, b) {
    mark = [Math.max(0, Math.min(a, b)), Math.min(data.total, Math.max(a, b))];
    const sums = new Map();
    for (const order of ops.rows) {
      for (let p = firstEndingAfter(ops, order, mark[0]); p < order.length; ++p) {
        const i = order[p];
        if (ops.begin[i] >= mark[1]) break;
        const entry = data.entries[ops.entry[i]];
        const name = entry.category === "wait" ? "wait " + entry.name.replace(/^wait |\.\d+$/g, "") : entry.category;
        const time = Math.min(ops.end[i], mark[1]) - Math.max(ops.begin[i], mark[0]);
        sums.set(name, (sums.get(name) ?? 0) + time);
      }
    }
    const span = mark[1] - mark[0];
    const rows = [...sums].sort(([, s], [, t]) => t - s).map(([name, time]) => [name, `${formatTime(time)}, ${percent(time / span)}`]);
    details.replaceChildren(heading(`Measured: ${formatTime(span)}`), pairs([["from", formatTime(mark[0])], ["to", formatTime(mark[1])], ...rows]));
    redraw();
  }

  // ---- Search.
  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shardwise.setState("q", words.length > 0 ? search.value : null);
    found_at = -1;
    matches = words.length === 0 ? null : data.entries.map((entry) => {
      const text = [entry.name, entry.category, entry.scope, entry.phase, entry.block].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (!matches) found.textContent = "";
    else {
      let count = 0, time = 0;
      for (const lane of running) {
        for (let i = 0; i < lane.count; ++i) {
          if (!matches[lane.entry[i]]) continue;
          ++count;
          if (lane === ops) time += lane.end[i] - lane.begin[i];
        }
      }
      found.textContent = count === 0 ? "nothing found" : `${count} slices, ${formatTime(time)} of the TensorCore`;
    }
    redraw();
  }
  function nextMatch(by) {
    if (!matches) return;
    const hits = running.flatMap((lane) => Array.from(lane.entry.keys()).filter((i) => matches[lane.entry[i]]).map((index) => ({ lane, index })));
    hits.sort((a, b) => a.lane.begin[a.index] - b.lane.begin[b.index]);
    if (hits.length === 0) return;
    found_at = found_at < 0 ? (by > 0 ? 0 : hits.length - 1) : (found_at + by + hits.length) % hits.length;
    const { lane, index } = hits[found_at];
    select(lane, index);
    const [a, b] = spanOf(selected);
    if ((b - a) / (to - from) < 0.002) setWindow((a + b) / 2 - (b - a) * 20, (a + b) / 2 + (b - a) * 20);
    found.textContent = `${found_at + 1} of ${hits.length}`;
  }

  // ---- Pointer.
  function hit(event) {
    const area = canvas.getBoundingClientRect();
    const px = event.clientX - area.left, py = event.clientY - area.top, time = timeAt(px);
    for (const { kind, lane, top, size } of lanes) {
      if (kind !== "slices" || py < top || py >= top + size) continue;
      const order = lane.rows[Math.floor((py - top) / kRow)];
      // Two pixels around, so that thin slices can be met.
      const slop = (2 / width) * (to - from);
      for (let p = firstEndingAfter(lane, order, time - slop), best = null; p <= order.length; ++p) {
        const i = order[p];
        if (p === order.length || lane.begin[i] > time + slop) return best;
        if (lane.begin[i] <= time && time < lane.end[i]) return { lane, index: i };
        best ??= { lane, index: i };
      }
    }
    return null;
  }
  function hover(event) {
    const target = hit(event);
    tip.hidden = !target;
    if (!target) return;
    const [entry, rows] = describe(target.lane, target.index);
    tip.replaceChildren(heading(entry.name), pairs(rows));
    const { width: w, height: h } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - w - 4))}px`;
    tip.style.top = `${event.clientY + 18 + h < innerHeight ? event.clientY + 18 : Math.max(4, event.clientY - h - 12)}px`;
  }
  let drag = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const area = canvas.getBoundingClientRect();
    const px = event.clientX - area.left;
    drag = { px, from, to, moved: false, overview: event.clientY - area.top < kOverview, measure: event.shiftKey || measuring };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) return hover(event);
    const px = event.clientX - canvas.getBoundingClientRect().left;
    if (Math.abs(px - drag.px) > 3) drag.moved = true;
    if (!drag.moved) return;
    tip.hidden = true;
    const size = drag.to - drag.from;
    if (drag.overview) setWindow((px / width) * data.total - size / 2, (px / width) * data.total + size / 2);
    else if (drag.measure) measure(timeAt(drag.px), timeAt(px));
    else setWindow(drag.from - ((px - drag.px) / width) * size, drag.to - ((px - drag.px) / width) * size);
  });
  box.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && !drag.overview) {
      const target = hit(event);
      mark = null;
      select(target?.lane, target?.index);
    }
    drag = null;
  });
  box.addEventListener("pointerleave", () => { tip.hidden = true; });
  box.addEventListener("dblclick", () => { if (selected) fit(); });
  // Plain scrolling stays the page's.
  box.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.altKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX - canvas.getBoundingClientRect().left));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) / width);
    else return;
    event.preventDefault();
  }, { passive: false });

  // ---- Keys, only while the timeline has the focus.
  let measuring = false;
  function setMeasuring(on) {
    measuring = on;
    box.classList.toggle("measuring", on);
    byId("tl-measure").setAttribute("aria-pressed", on);
  }
  const actions = {
    in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.25), right: () => pan(0.25), fit,
    measure: () => setMeasuring(!measuring),
    previous: () => nextMatch(-1), next: () => nextMatch(1),
    link: () => shardwise.copy(location.pathname.split("/").pop() + location.hash, "the link"),
  };
  const keys = {
    w: actions.in, s: actions.out, a: actions.left, d: actions.right, f: fit,
    m: () => { const [a, b] = selected ? spanOf(selected) : [from, to]; measure(a, b); },
    arrowleft: () => step(-1), arrowright: () => step(1), arrowup: () => climb(-1), arrowdown: () => climb(1),
    "/": () => search.focus(), "?": () => { byId("tl-keys").open = true; byId("tl-keys").firstElementChild.focus(); },
    n: () => nextMatch(1), p: () => nextMatch(-1),
    escape: () => { mark = null; setMeasuring(false); select(null); },
  };
  box.addEventListener("keydown", (event) => {
    const action = keys[event.key.toLowerCase()];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", actions[button.dataset.do]));
  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") nextMatch(event.shiftKey ? -1 : 1); });

  // ---- From the link, and when the page changes.
  function restore() {
    const window_ = /^([\d.e-]+)-([\d.]+)$/.exec(shardwise.state.get("t") ?? "");
    const slice = /^(\d+)\.(\d+)$/.exec(shardwise.state.get("sel") ?? "");
    search.value = shardwise.state.get("q") ?? "";
    if (window_) setWindow(Number(window_[1]) * 1e12, Number(window_[2]) * 1e12); else setWindow(0, data.total);
    const lane = slice && data.lanes[slice[1]];
    if (lane && slice[2] < lane.count) select(lane, Number(slice[2]), false); else select(null);
    find();
  }
  shardwise.onTheme(() => { styles = new Map(); overview = null; redraw(); });
  shardwise.onState(restore);
  shardwise.onShow("timeline", redraw);
  new ResizeObserver(redraw).observe(box);
  restore();
  box.dataset.ready = "true";
})();
