// The timeline: zoom, pan, search, measuring and selection. Times are picoseconds from the start of
// the step.
"use strict";

(async () => {
  const { byId } = shardwise;
  const box = byId("tl");
  if (!box) return;
  if (typeof DecompressionStream === "undefined") {
    byId("s-timeline").classList.add("static");
    shardwise.say("The timeline can be zoomed in browsers that have DecompressionStream.");
    return;
  }
  const data = readTimeline(await shardwise.unpack("data-timeline"));
  const painter = timelinePainter(box, data), canvas = box.querySelector("canvas");
  const { view, lanes, ops, running, kOverview, kRow, timeAt, percent, redraw } = painter;
  const tip = byId("tip"), details = byId("tl-details"), found = byId("tl-found"), search = byId("tl-search");
  let found_at = -1;  // of the matches of a search

  // ---- The window.
  function setWindow(a, b) {
    const size = Math.min(Math.max(b - a, 1000), data.total);
    view.from = Math.min(Math.max(a, 0), data.total - size);
    view.to = view.from + size;
    redraw();
    const seconds = (t) => String(Number((t / 1e12).toFixed(12)));
    shardwise.setState("t", view.from === 0 && view.to === data.total ? null : `${seconds(view.from)}-${seconds(view.to)}`);
  }
  function zoom(factor, centre = (view.from + view.to) / 2) {
    setWindow(centre - (centre - view.from) * factor, centre + (view.to - centre) * factor);
  }
  const pan = (share) => setWindow(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));
  function fit() {
    if (!view.selected || isFitted()) return setWindow(0, data.total);
    const [a, b] = spanOf(view.selected);
    setWindow(a - (b - a) * 0.1, b + (b - a) * 0.1);
  }
  const spanOf = ({ lane, index }) => [lane.begin[index], lane.end[index]];
  function isFitted() {
    const [a, b] = spanOf(view.selected);
    return Math.abs((b - a) * 1.2 - (view.to - view.from)) < 1;
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
    view.selected = lane ? { lane, index } : null;
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
    const [a, b] = spanOf(view.selected), size = view.to - view.from;
    if (follow && (b <= view.from || a >= view.to)) setWindow((a + b - size) / 2, (a + b + size) / 2);
    redraw();
  }
  const firstShown = () => ({ lane: ops, index: ops.rows[0][firstEndingAfter(ops, ops.rows[0], view.from)] ?? 0 });
  function step(by) {
    if (!view.selected) { const s = firstShown(); return select(s.lane, s.index); }
    const { lane, index } = view.selected, order = lane.rows[lane.row[index]];
    const next = order[order.indexOf(index) + by];
    if (next !== undefined) select(lane, next);
  }
  // The row above or below, across lanes, at the same time.
  function climb(by) {
    const rows = data.lanes.flatMap((lane) => lane.rows.map((order) => ({ lane, order })));
    const { lane, index } = view.selected ?? firstShown();
    const here = rows.findIndex((row) => row.order === lane.rows[lane.row[index]]);
    const next = rows[here + by];
    if (!next) return;
    const at = firstEndingAfter(next.lane, next.order, Math.max(view.from, lane.begin[index]));
    select(next.lane, next.order[Math.min(at, next.order.length - 1)]);
  }

  // ---- Measuring: what the TensorCore does in a stretch of time.
  function measure(a, b) {
    view.mark = [Math.max(0, Math.min(a, b)), Math.min(data.total, Math.max(a, b))];
    const sums = new Map();
    for (const order of ops.rows) {
      for (let p = firstEndingAfter(ops, order, view.mark[0]); p < order.length; ++p) {
        const i = order[p];
        if (ops.begin[i] >= view.mark[1]) break;
        const entry = data.entries[ops.entry[i]];
        const name = entry.category === "wait" ? "wait " + entry.name.replace(/^wait |\.\d+$/g, "") : entry.category;
        const time = Math.min(ops.end[i], view.mark[1]) - Math.max(ops.begin[i], view.mark[0]);
        sums.set(name, (sums.get(name) ?? 0) + time);
      }
    }
    const span = view.mark[1] - view.mark[0];
    const rows = [...sums].sort(([, s], [, t]) => t - s).map(([name, time]) => [name, `${formatTime(time)}, ${percent(time / span)}`]);
    details.replaceChildren(heading(`Measured: ${formatTime(span)}`), pairs([["from", formatTime(view.mark[0])], ["to", formatTime(view.mark[1])], ...rows]));
    redraw();
  }

  // ---- Search.
  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    shardwise.setState("q", words.length > 0 ? search.value : null);
    found_at = -1;
    view.matches = words.length === 0 ? null : data.entries.map((entry) => {
      const text = [entry.name, entry.category, entry.scope, entry.phase, entry.block].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (!view.matches) found.textContent = "";
    else {
      let count = 0, time = 0;
      for (const lane of running) {
        for (let i = 0; i < lane.count; ++i) {
          if (!view.matches[lane.entry[i]]) continue;
          ++count;
          if (lane === ops) time += lane.end[i] - lane.begin[i];
        }
      }
      found.textContent = count === 0 ? "nothing found" : `${count} slices, ${formatTime(time)} of the TensorCore`;
    }
    redraw();
  }
  function nextMatch(by) {
    if (!view.matches) return;
    const hits = running.flatMap((lane) => Array.from(lane.entry.keys()).filter((i) => view.matches[lane.entry[i]]).map((index) => ({ lane, index })));
    hits.sort((a, b) => a.lane.begin[a.index] - b.lane.begin[b.index]);
    if (hits.length === 0) return;
    found_at = found_at < 0 ? (by > 0 ? 0 : hits.length - 1) : (found_at + by + hits.length) % hits.length;
    const { lane, index } = hits[found_at];
    select(lane, index);
    const [a, b] = spanOf(view.selected);
    if ((b - a) / (view.to - view.from) < 0.002) setWindow((a + b) / 2 - (b - a) * 20, (a + b) / 2 + (b - a) * 20);
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
      const slop = (2 / view.width) * (view.to - view.from);
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
    drag = { px, from: view.from, to: view.to, moved: false, overview: event.clientY - area.top < kOverview, measure: event.shiftKey || measuring };
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) return hover(event);
    const px = event.clientX - canvas.getBoundingClientRect().left;
    if (Math.abs(px - drag.px) > 3) drag.moved = true;
    if (!drag.moved) return;
    tip.hidden = true;
    const size = drag.to - drag.from;
    if (drag.overview) setWindow((px / view.width) * data.total - size / 2, (px / view.width) * data.total + size / 2);
    else if (drag.measure) measure(timeAt(drag.px), timeAt(px));
    else setWindow(drag.from - ((px - drag.px) / view.width) * size, drag.to - ((px - drag.px) / view.width) * size);
  });
  box.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && !drag.overview) {
      const target = hit(event);
      view.mark = null;
      select(target?.lane, target?.index);
    }
    drag = null;
  });
  box.addEventListener("pointerleave", () => { tip.hidden = true; });
  box.addEventListener("dblclick", () => { if (view.selected) fit(); });
  // Plain scrolling stays the page's.
  box.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.altKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX - canvas.getBoundingClientRect().left));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan((event.deltaX || event.deltaY) / view.width);
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
    m: () => { const [a, b] = view.selected ? spanOf(view.selected) : [view.from, view.to]; measure(a, b); },
    arrowleft: () => step(-1), arrowright: () => step(1), arrowup: () => climb(-1), arrowdown: () => climb(1),
    "/": () => search.focus(), "?": () => { byId("tl-keys").open = true; byId("tl-keys").firstElementChild.focus(); },
    n: () => nextMatch(1), p: () => nextMatch(-1),
    escape: () => { view.mark = null; setMeasuring(false); select(null); },
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
  shardwise.onTheme(painter.recolour);
  shardwise.onState(restore);
  shardwise.onShow("timeline", redraw);
  new ResizeObserver(redraw).observe(box);
  restore();
  box.dataset.ready = "true";
})();
