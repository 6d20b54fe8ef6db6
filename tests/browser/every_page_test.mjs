// What holds for every page: it opens without a complaint, is accessible (WCAG 2.1 AA) in light and
// dark, and needs no sideways scrolling on narrow screens or at 200 %.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { folder, launch, onPage, overflow, sections, violations } from "./pages.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });

const openTab = (page, name) => page.locator(`#tab-${name}`).click();
const pages = readdirSync(folder).filter((name) => name.endsWith(".html"));

describe("every page", () => {
  for (const name of pages) {
    // Colours are the same on every page; one is read in both schemes.
    for (const colorScheme of name === "V4-Flash.html" ? ["light", "dark"] : ["dark"]) {
      test(`${name}: opens, and is accessible in ${colorScheme}`, () => onPage(browser, name, { colorScheme }, async (page) => {
        for (const section of await sections(page)) {
          await openTab(page, section);
          assert.deepEqual(await violations(page), [], section);
        }
      }));
    }
    test(`${name}: no sideways scrolling at 400, 640 (200 % of 1280) and 1280 pixels`, () => onPage(browser, name, {}, async (page) => {
      for (const width of [400, 640, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        for (const section of await sections(page)) {
          await openTab(page, section);
          assert.ok(await overflow(page) <= 0, `${section} at ${width}`);
        }
      }
    }));
  }
});
