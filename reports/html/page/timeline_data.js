// The packed timeline (reports/html/timeline_data.h) as columns of numbers.
"use strict";

function readTimeline(bytes) {
  let at = 0;
  function number() {  // little-endian groups of seven bits; exact up to 2^53
    let value = 0, scale = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  }
  const list = (read) => Array.from({ length: number() }, read);
  const decoder = new TextDecoder();
  const strings = list(() => {
    const length = number();
    at += length;
    return decoder.decode(bytes.subarray(at - length, at));
  });
  const text = () => strings[number()];

  const total = number();
  const resources = list(text);
  const entries = list(() => ({
    name: text(), category: text(), scope: text(), phase: text(), block: text(), critical: number() === 1,
    details: list(() => [text(), text()]),
    use: list(() => number() / 1000),
  }));
  const lanes = list(() => {
    const lane = { name: text(), rows: [] };
    const rows = number(), count = number();
    const begin = new Float64Array(count), end = new Float64Array(count);
    const entry = new Uint32Array(count), row = new Uint8Array(count);
    for (let i = 0, last = 0; i < count; ++i) begin[i] = last += number();
    for (let i = 0; i < count; ++i) end[i] = begin[i] + number();
    for (let i = 0; i < count; ++i) entry[i] = number();
    for (let i = 0; i < count; ++i) row[i] = number();
    // Slices of one row do not overlap, so begins and ends are both sorted there.
    const picked = Array.from({ length: rows }, () => []);
    row.forEach((r, i) => picked[r].push(i));
    lane.rows = picked.map((order) => Uint32Array.from(order));
    return Object.assign(lane, { count, begin, end, entry, row });
  });
  const memory = list(() => [number(), number()]);
  return { total, resources, entries, lanes, memory, usable: number() };
}

// First slice of a row that ends after `time`, as a position in the row.
function firstEndingAfter(lane, order, time) {
  let low = 0, high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.end[order[middle]] > time) high = middle; else low = middle + 1;
  }
  return low;
}

// Picoseconds for people, as the tables write them.
function formatTime(ps) {
  const [unit, size] = [["s", 1e12], ["ms", 1e9], ["us", 1e6], ["ns", 1e3]].find(([, s]) => Math.abs(ps) >= s) ?? ["ps", 1];
  const value = ps / size;
  if (size === 1) return `${Math.round(value)} ps`;
  const digits = Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value)) + 1e-12));
  return `${value.toFixed(digits)} ${unit}`;
}
