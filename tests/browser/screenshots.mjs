// Pictures of the real report for the README: screenshots.mjs FOLDER.
import { join } from "node:path";
import { launch, open } from "./pages.mjs";

const to = process.argv[2];
const browser = await launch();

async function shoot(name, height, hash) {
  const page = await open(browser, "V4-Flash.html", { viewport: { width: 1280, height }, hash });
  await page.screenshot({ path: join(to, name) });
}
await shoot("report-overview.png", 740, "");
await shoot("report-timeline.png", 860, "#timeline&t=1.15-1.36");
await browser.close();
