// Tabs, theme, permalinks, copying: what every page has. Other scripts use `shardwise`.
"use strict";

const shardwise = (() => {
  const root = document.documentElement;
  root.classList.add("js");
  const byId = (id) => document.getElementById(id);

  // A line for screen readers, and for a moment on screen.
  const status = document.createElement("p");
  status.className = "note only-js";
  status.setAttribute("role", "status");
  document.querySelector("header").append(status);
  const say = (text) => { status.textContent = text; };

  // The state of the page is its hash: "#timeline&t=1.25-1.31&sel=1.4013". The first word is the
  // open section; scripts keep what they like under keys of their own.
  const state = new Map();
  const listeners = [];
  function readHash() {
    const parts = decodeURIComponent(location.hash.slice(1)).split("&");
    state.clear();
    for (const part of parts.slice(1)) {
      const at = part.indexOf("=");
      if (at > 0) state.set(part.slice(0, at), part.slice(at + 1));
    }
    return parts[0];
  }
  function writeHash() {
    let hash = "#" + nameOf(open);
    for (const [key, value] of state) hash += `&${key}=${encodeURIComponent(value)}`;
    // Some browsers refuse frequent changes; the page works without.
    try { history.replaceState(null, "", hash); } catch { /* keep the old link */ }
  }
  function setState(key, value) {
    if (value === null) state.delete(key); else state.set(key, value);
    writeHash();
  }

  // Tabs. A section's name is its id without the "s-" that keeps browsers from scrolling to it.
  const nameOf = (section) => section.id.slice(2);
  const sections = [...document.querySelectorAll("main > section")];
  const tabs = sections.map((section) => byId("tab-" + nameOf(section)));
  let open = sections[0];
  const shown = new Map();  // section id: functions called when it is opened
  function show(section) {
    open = section;
    sections.forEach((other, i) => {
      const on = other === section;
      other.classList.toggle("open", on);
      tabs[i].setAttribute("aria-selected", on);
      tabs[i].tabIndex = on ? 0 : -1;
    });
    (shown.get(nameOf(section)) || []).forEach((f) => f());
  }
  function openSection(id) {
    const section = (byId("s-" + id) ?? byId(id))?.closest("main > section");
    if (section) show(section);
    return section;
  }
  byId("tabs").setAttribute("role", "tablist");
  sections.forEach((section, i) => {
    const tab = tabs[i];
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", section.id);
    section.setAttribute("role", "tabpanel");
    section.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      show(section);
      writeHash();
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: -1 }[event.key];
      if (event.key === " ") tab.click();
      if (step === undefined && event.key !== " ") return;
      event.preventDefault();
      if (step === undefined) return;
      const next = tabs.at(step % tabs.length);
      next.focus();
      next.click();
    });
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  // Links into other sections: "#s-memory", "#t-ops".
  document.addEventListener("click", (event) => {
    const link = event.target.closest("main a[href^='#']");
    if (!link) return;
    event.preventDefault();
    const target = link.getAttribute("href").slice(1);
    if (!openSection(target)) return;
    writeHash();
    byId("tab-" + nameOf(open)).focus();
    byId(target).scrollIntoView();
  });
  function follow() {
    const id = readHash();
    if (!openSection(id)) show(sections[0]);
    listeners.forEach((f) => f());
  }
  addEventListener("hashchange", follow);

  // Light and dark. A choice is remembered where the browser lets files remember.
  const store = {
    get() { try { return localStorage.getItem("shardwise-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("shardwise-theme", value); } catch { /* for now only */ } },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themed = [];
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const toggle = byId("theme");
  function applyTheme(theme) {
    if (theme) root.dataset.theme = theme;
    toggle.setAttribute("aria-pressed", isDark());
    themed.forEach((f) => f());
  }
  toggle.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    store.set(theme);
    applyTheme(theme);
  });
  dark.addEventListener("change", () => applyTheme(null));
  const remembered = store.get();
  applyTheme(remembered === "light" || remembered === "dark" ? remembered : null);

  byId("print").addEventListener("click", () => print());

  // Copying, with a fallback for browsers that keep the clipboard from files.
  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say(`Copied ${what}.`);
  }
  document.querySelectorAll("button[data-copy]").forEach((button) => {
    button.addEventListener("click", () => copy(button.dataset.copy, "the command"));
  });

  // Bytes of a packed block.
  async function unpack(id) {
    const text = atob(byId(id).textContent);
    const packed = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  byId("save")?.addEventListener("click", async () => {
    const link = document.createElement("a");
    const url = URL.createObjectURL(new Blob([await unpack("data-json")], { type: "application/json" }));
    link.href = url;
    link.download = byId("save").dataset.name;
    link.click();
    URL.revokeObjectURL(url);
    say(`Saved ${link.download}.`);
  });

  return {
    byId, say, copy, unpack, state, setState, openSection,
    onState: (f) => listeners.push(f),
    onTheme: (f) => themed.push(f),
    onShow: (id, f) => shown.set(id, [...(shown.get(id) || []), f]),
    start: follow,
  };
})();
