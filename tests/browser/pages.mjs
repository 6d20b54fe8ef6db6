// What the tests of pages share: the browser, and the reports that scripts/check_browser has written.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export const folder = process.env.SHARDWISE_PAGES;  // reports, and node_modules
const require = createRequire(join(folder, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = require.resolve("axe-core/axe.min.js");

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: process.getuid() === 0 ? ["--no-sandbox"] : [],  // Chromium refuses root a sandbox
  });
}

export const urlOf = (name, hash = "") => pathToFileURL(join(folder, name)).href + hash;

// A page that fails its test on any console message, exception, or request but its own file.
export async function open(browser, name, { hash = "", ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", acceptDownloads: true,
    permissions: ["clipboard-read", "clipboard-write"], ...options,
  });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => page.complaints.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => page.complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(urlOf(name)) && !request.url().startsWith("blob:")) page.complaints.push(`request: ${request.url()}`);
  });
  page.on("dialog", (dialog) => page.complaints.push(`dialog: ${dialog.message()}`));
  await page.goto(urlOf(name, hash));
  await page.locator("html.js").waitFor();
  if (await page.locator("#tl").count()) await page.locator("#tl[data-ready]").waitFor({ state: "attached" });
  return page;
}

// Runs `body` on a fresh page and then asks whether the page had anything to complain about.
export async function onPage(browser, name, options, body) {
  const page = await open(browser, name, options);
  try {
    await body(page);
    assert.deepEqual(page.complaints, []);
  } finally {
    await page.context().close();
  }
}

export const sections = (page) => page.locator("main > section").evaluateAll((all) => all.map((s) => s.id.slice(2)));
export const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// Violations of WCAG 2.1 A and AA on what is shown now.
export async function violations(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) {
    // The page's policy forbids foreign scripts; the debugger may still run one.
    const { readFile } = await import("node:fs/promises");
    await page.evaluate(await readFile(axeSource, "utf8"));
  }
  // Rows of a table are alike, and thousands take minutes.
  await page.evaluate(() => document.querySelectorAll("tbody tr:nth-child(n + 9)").forEach((row) => row.remove()));
  const result = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  return result.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} (${n.failureSummary?.split("\n")[1]?.trim()})`).join("; ")}`);
}
