// Pictures of the real report for the README: screenshots.mjs FOLDER.
import { join } from "node:path";
import { launch, open } from "./pages.mjs";

const to = process.argv[2];
const browser = await launch();
const viewport = { width: 1280, height: 820 };

const overview = await open(browser, "V4-Flash.html", { viewport });
await overview.screenshot({ path: join(to, "report-overview.png") });

const timeline = await open(browser, "V4-Flash.html", { viewport, hash: "#timeline&t=1.15-1.36&q=" });
await timeline.locator("#tl-search").fill("all_gather layers_1 fwd");
await timeline.locator("#tl-search").fill("");
await timeline.locator("#tl").focus();
await timeline.screenshot({ path: join(to, "report-timeline.png") });
await browser.close();
