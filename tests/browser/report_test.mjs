// The report in a real Chromium, opened as a file: what a reader does with mouse, keyboard, printer
// and clipboard.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { folder, launch, onPage as onPageOf, open, urlOf } from "./pages.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });

const onPage = (name, options, body) => onPageOf(browser, name, options, body);
const kFlash = "V4-Flash.html", kHostile = "hostile.html";
const hashOf = (page) => page.evaluate(() => decodeURIComponent(location.hash));
const openTab = (page, name) => page.locator(`#tab-${name}`).click();
const windowOf = async (page) => {
  const match = /t=([\d.e-]+)-([\d.]+)/.exec(await hashOf(page));
  return match ? [Number(match[1]), Number(match[2])] : null;
};

describe("tabs and links", () => {
  test("a click opens a section and the link says so", () => onPage(kFlash, {}, async (page) => {
    await openTab(page, "ops");
    assert.equal(await hashOf(page), "#ops");
    assert.deepEqual(await page.locator("main > section:visible").evaluateAll((all) => all.map((s) => s.id)), ["s-ops"]);
    assert.equal(await page.evaluate(() => scrollY), 0);
  }));
  test("arrow keys go from tab to tab", () => onPage(kFlash, {}, async (page) => {
    await page.locator("#tab-overview").focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-timeline");
    assert.equal(await page.locator("#tab-timeline").getAttribute("aria-selected"), "true");
    await page.keyboard.press("End");
    assert.equal(await page.locator("main > section:visible").getAttribute("id"), "s-provenance");
  }));
  test("a link restores window, search and selection", () => onPage(kFlash, { hash: "#timeline&t=1-1.5&sel=2.900&q=gather" }, async (page) => {
    assert.deepEqual(await windowOf(page), [1, 1.5]);
    assert.equal(await page.locator("#tl-search").inputValue(), "gather");
    assert.match(await page.locator("#tl-details").innerText(), /lane\s+XLA Ops/);
  }));
  test("a broken link opens the first section", () => onPage(kFlash, { hash: "#nothing&t=x-y&sel=99.99" }, async (page) => {
    assert.equal(await page.locator("main > section:visible").getAttribute("id"), "s-overview");
  }));
});

describe("timeline", () => {
  const timeline = (body) => onPage(kFlash, { hash: "#timeline" }, async (page) => {
    await page.locator("#tl").focus();
    await body(page, await page.locator("#tl canvas").boundingBox());
  });
  test("is drawn", () => timeline(async (page) => {
    await page.waitForTimeout(100);
    const colours = await page.locator("#tl canvas").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    });
    assert.ok(colours > 20, `${colours} colours`);
  }));
  test("keys zoom and pan", () => timeline(async (page) => {
    await page.keyboard.press("w");
    await page.keyboard.press("w");
    const [from, to] = await windowOf(page);
    await page.keyboard.press("d");
    const [later] = await windowOf(page);
    assert.ok(later > from);
    await page.keyboard.press("a");
    assert.ok(Math.abs((await windowOf(page))[0] - from) < 1e-9);
    await page.keyboard.press("s");
    const [a, b] = await windowOf(page);
    assert.ok(b - a > to - from);
    await page.keyboard.press("f");
    assert.equal(await windowOf(page), null);
  }));
  test("the wheel with Ctrl zooms where the pointer is, a drag pans", () => timeline(async (page, box) => {
    await page.mouse.move(box.x + box.width * 0.25, box.y + 120);
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, -100);
    await page.keyboard.up("Control");
    const [from, to] = await windowOf(page);
    const step = 9.963464374950;
    assert.ok(Math.abs(from + 0.25 * (to - from) - 0.25 * step) < 0.01 * step);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.20, box.y + 120, { steps: 4 });
    await page.mouse.up();
    assert.ok((await windowOf(page))[0] > from);
  }));
  test("plain wheel scrolls the page", () => timeline(async (page, box) => {
    await page.setViewportSize({ width: 1280, height: 400 });
    await page.mouse.move(box.x + 300, 300);
    await page.mouse.wheel(0, 100);
    await page.waitForFunction(() => scrollY > 0);
    assert.equal(await windowOf(page), null);
  }));
  test("arrows select, the panel tells what, why and how much", () => timeline(async (page) => {
    await page.keyboard.press("ArrowRight");
    await page.locator("#tl-search").fill("grouped_matmul bwd");
    await page.locator("#tl-search").press("Enter");
    const text = await page.locator("#tl-details").innerText();
    for (const word of ["grouped_matmul", "time", "result", "operands", "FLOPs", "HBM bytes", "uses", "began after"]) {
      assert.ok(text.includes(word), `${word} in ${text}`);
    }
    await page.locator("#tl").focus();
    const before = await hashOf(page);
    await page.keyboard.press("ArrowUp");
    assert.notEqual(await hashOf(page), before);
    await page.keyboard.press("f");
    assert.notEqual(await windowOf(page), null);
    await page.keyboard.press("Escape");
    assert.ok(!(await hashOf(page)).includes("sel="));
  }));
  test("search counts, and finds nothing where nothing is", () => timeline(async (page) => {
    await page.keyboard.press("/");
    await page.keyboard.type("all_gather fsdp");
    assert.match(await page.locator("#tl-found").innerText(), /^[1-9]\d* slices, 2\.1\d\d s of the TensorCore$/);
    await page.locator("#tl-search").fill("no such kernel");
    assert.equal(await page.locator("#tl-found").innerText(), "nothing found");
  }));
  test("a pointer that rests shows a tip, a click selects", () => timeline(async (page, box) => {
    await page.mouse.move(box.x + box.width / 2, box.y + 108);
    await page.locator("#tip").waitFor();
    assert.match(await page.locator("#tip").innerText(), /scanned_blocks|while/);
    await page.mouse.click(box.x + box.width / 2, box.y + 108);
    assert.match(await hashOf(page), /sel=1\.\d+/);
    await page.mouse.move(box.x + box.width / 2, box.y - 80);
    assert.ok(await page.locator("#tip").isHidden());
  }));
  test("measuring tells what a stretch is made of", () => timeline(async (page, box) => {
    await page.keyboard.press("m");
    const text = await page.locator("#tl-details").innerText();
    assert.match(text, /Measured: 9\.963 s/);
    assert.match(text, /wait all_gather fsdp\s+2\.123 s, 21\.3 %/);  // as the table of causes has it
    await page.keyboard.down("Shift");
    await page.mouse.move(box.x + 100, box.y + 150);
    await page.mouse.down();
    await page.mouse.move(box.x + 400, box.y + 150, { steps: 3 });
    await page.mouse.up();
    await page.keyboard.up("Shift");
    assert.match(await page.locator("#tl-details").innerText(), /Measured: 2\.\d+ s/);
  }));
  test("a slice leads to its row among the ops", () => timeline(async (page) => {
    await page.locator("#tl-search").fill("cross_entropy");
    await page.locator("#tl-search").press("Enter");
    const name = await page.locator("#tl-details strong").innerText();
    await page.getByRole("button", { name: "Show among the ops" }).click();
    await page.locator("#t-ops tbody tr:visible").first().waitFor();
    assert.ok((await page.locator("#t-ops tbody tr:visible").first().innerText()).includes(name));
  }));
  test("its copied link is the file's name and the hash", () => timeline(async (page) => {
    await page.keyboard.press("w");
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.getByText("Copied the link.").waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^V4-Flash\.html#timeline&t=/);
  }));
});

describe("tables", () => {
  const column = (page, id, index) => page.locator(`#${id} tbody`).evaluate(
    (body, i) => [...body.rows].filter((row) => !row.hidden).map((row) => row.cells[i - 1].textContent), index);
  test("headings sort, and say so", () => onPage(kFlash, { hash: "#ops" }, async (page) => {
    await page.locator("#t-ops[data-rest=loaded]").waitFor();
    const heading = page.locator("#t-ops th", { hasText: "occurrences" });
    await heading.locator("button").click();
    assert.equal(await heading.getAttribute("aria-sort"), "descending");
    const counts = (await column(page, "t-ops", 5)).map((text) => Number(text.replaceAll(",", "")));
    assert.ok(counts.length > 2000);
    assert.deepEqual(counts, [...counts].sort((a, b) => b - a));
    await heading.locator("button").press("Enter");
    assert.equal(await heading.getAttribute("aria-sort"), "ascending");
    const laidOut = () => page.locator("#t-ops tbody tr").evaluateAll((rows) => rows.filter((row) => row.offsetHeight > 0).length);
    assert.equal(await laidOut(), 200);
    await page.locator("#t-ops").getByRole("button", { name: "Show all" }).click();
    assert.equal(await laidOut(), counts.length);
  }));
  test("a filter hides, counts, and takes words away", () => onPage(kFlash, { hash: "#config" }, async (page) => {
    await page.locator("#t-config[data-rest=loaded]").waitFor();
    const filter = page.getByRole("searchbox", { name: "Filter: Configuration" });
    await filter.fill("ici_ parallelism -tensor");
    const keys = await column(page, "t-config", 1);
    assert.ok(keys.length > 3 && keys.every((key) => key.includes("ici_") && !key.includes("tensor")), keys.join());
    assert.match(await page.locator("#t-config [role=status]").innerText(), new RegExp(`^${keys.length} of `));
  }));
  test("copies are exact and equal to the JSON report", () => onPage(kFlash, {}, async (page) => {
    const json = JSON.parse(await readFile(join(folder, "V4-Flash.json"), "utf8"));
    await page.getByRole("button", { name: "Copy TSV: Waterfall" }).click();
    await page.getByText("Copied the table.").waitFor();
    const [head, ...rows] = (await page.evaluate(() => navigator.clipboard.readText())).trimEnd().split("\n").map((line) => line.split("\t"));
    assert.deepEqual(head.slice(0, 3), ["name", "time_s", "fraction"]);
    assert.deepEqual(rows.map(([name, time, share]) => [name, Number(time), Number(share)]),
      json.waterfall.map((bar) => [bar.name, bar.time_s, bar.fraction]));
  }));
  test("the whole JSON report is inside", () => onPage(kFlash, {}, async (page) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save").click()]);
    assert.equal(await readFile(await download.path(), "utf8"), await readFile(join(folder, "V4-Flash.json"), "utf8"));
  }));
});

describe("themes, paper, keyboard", () => {
  test("the theme is toggled and remembered", () => onPage(kFlash, {}, async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.locator("#theme").click();
    const dark = await background();
    assert.notEqual(dark, light);
    assert.equal(await page.locator("#theme").getAttribute("aria-pressed"), "true");
    await page.reload();
    assert.equal(await background(), dark);
  }));
  test("paper has every section, light, the timeline as a picture", () => onPage("IW-07.html", { colorScheme: "dark" }, async (page) => {
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    const hidden = await page.locator("main > section").evaluateAll((all) => all.filter((s) => s.offsetHeight === 0).length);
    assert.equal(hidden, 0);
    assert.ok(await page.locator(".snapshot svg").isVisible());
    assert.ok(await page.locator("#tl").isHidden());
    assert.ok(await page.locator("nav").isHidden());
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
    const pdf = await page.pdf({ format: "A4" });
    const count = pdf.toString("latin1").match(/\/Type \/Page\b/g).length;
    assert.ok(count >= 8 && count < 40, `${count} pages`);
  }));
  test("Tab reaches everything, and shows where it is", () => onPage(kFlash, { hash: "#timeline" }, async (page) => {
    const seen = new Set();
    for (let i = 0; i < 60; ++i) {
      await page.keyboard.press("Tab");
      const now = await page.evaluate(() => {
        const at = document.activeElement;
        if (at === document.body) return null;
        const style = getComputedStyle(at);
        return { name: at.id || at.getAttribute("aria-label") || at.textContent.trim().slice(0, 30), outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
      });
      if (!now) break;
      assert.ok(now.outlined, `${now.name} shows no focus`);
      seen.add(now.name);
    }
    for (const name of ["Skip to the report", "theme", "print", "save", "tab-timeline", "tl", "tl-search", "Zoom in", "Copy link", "Keys", "Copy TSV: Critical path"]) {
      assert.ok(seen.has(name), `${name} among ${[...seen].join(", ")}`);
    }
  }));
  test("the skip link goes past the tabs", () => onPage(kFlash, {}, async (page) => {
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  }));
  test("motion is off when it is unwanted", () => onPage(kFlash, {}, async (page) => {
    assert.equal(await page.locator("#tab-ops").evaluate((tab) => getComputedStyle(tab).transitionDuration), "0s");
  }));
  test("without scripts everything but the timeline is there", async () => {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await page.goto(urlOf(kFlash));
    assert.ok(await page.locator(".snapshot svg").isVisible());
    assert.ok(await page.locator("#t-config table").isVisible());
    await page.context().close();
  });
});

describe("sweep", () => {
  const sweep = (hash, body) => onPage("sweep.html", { hash }, async (page) => {
    await page.locator("#sweep-chart[data-ready]").waitFor({ state: "attached" });
    await body(page);
  });
  const chosen = (page) => page.locator("#chosen").innerText();
  test("a mark of the chart tells its command, and is marked in the table", () => sweep("", async (page) => {
    const mark = page.locator("#sweep-chart .dot-front").first();
    const point = await mark.getAttribute("data-key");
    await mark.click();
    assert.match(await chosen(page), /shardwise simulate IW-07 per_device_batch_size=\d/);
    assert.equal(await page.locator("#t-front tr[aria-current] button").first().innerText(), point);
    assert.equal(await page.locator("#sweep-chart .ring").count(), 1);
    await page.getByRole("button", { name: "Copy the command: Here" }).click();
    await page.getByText("Copied the command.").waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^shardwise simulate IW-07 /);
    assert.equal(await hashOf(page), `#overview&sel=${point}`);
  }));
  test("a row reached by keys chooses its point", () => sweep("#points", async (page) => {
    const button = page.locator("#t-points tbody button").nth(1);
    const point = await button.innerText();
    await button.press("Enter");
    await openTab(page, "overview");
    assert.match(await chosen(page), new RegExp(`^Point ${point}\\n`));
  }));
  test("a filter of the points dims the others in the chart", () => sweep("#points", async (page) => {
    await page.getByRole("searchbox").first().fill("ideal");
    const off = await page.locator("#sweep-chart .off").count();
    const marks = await page.locator("#sweep-chart [data-key]").count();
    assert.ok(off > 0 && off < marks, `${off} of ${marks}`);
  }));
  test("a link names a point", () => sweep("#overview&sel=0", async (page) => {
    assert.match(await chosen(page), /^Point 0\n/);
  }));
});

describe("diff", () => {
  test("bars lead from A to B and the keys come first", () => onPage("diff.html", {}, async (page) => {
    assert.ok((await page.locator("#t-keys").innerText()).includes("ici_expert_parallelism"));
    const bars = await page.locator("#t-waterfall svg.bar rect").evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect()).map(({ left, right }) => [left, right]));
    assert.ok(bars.length > 2);
    for (let i = 1; i < bars.length; ++i) {
      const meets = bars[i].some((end) => bars[i - 1].some((other) => Math.abs(end - other) < 1.5));
      assert.ok(meets, `bar ${i} begins where none ended`);
    }
    assert.match(await page.locator("#t-waterfall tr.sum").innerText(), /^step/);
  }));
});

describe("hostile values", () => {
  test("are text and nothing else", () => onPage(kHostile, { hash: "#config" }, async (page) => {
    await page.locator("#t-config[data-rest=loaded]").waitFor();
    const values = await page.locator("#t-config").innerText();
    assert.ok(values.includes("</script><img src=x onerror=window.pwned=1>"), "the value as written");
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator("img, iframe, object, embed, link, base, form").count(), 0);
  }));
  test("the policy stops what is not the page's own", async () => {
    const page = await open(browser, kFlash);
    const blocked = await page.evaluate(() => new Promise((resolve) => {
      addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective));
      const script = document.createElement("script");
      script.textContent = "window.pwned = 1";
      document.body.append(script);
      setTimeout(() => resolve("nothing"), 1000);
    }));
    assert.match(blocked, /^script-src/);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await page.context().close();
  });
});
