// A browser for the tests: serves a built book on the loopback address, and speaks WebDriver (https://www.w3.org/TR/webdriver2/) to
// chromedriver with node's own modules, so that npm installs only axe-core.

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
export const book = process.argv[2] ?? join(here, "../../target/book");
export const screenshots = process.argv[3];
const axeSource = await readFile(join(here, "node_modules/axe-core/axe.min.js"), "utf8");

const TYPES = {
  ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript",
  ".wasm": "application/wasm", ".svg": "image/svg+xml", ".png": "image/png",
  ".woff2": "font/woff2", ".json": "application/json", ".ico": "image/x-icon",
};

const failures = [];
export const check = (ok, what) => { if (!ok) { failures.push(what); console.error(`FAIL ${what}`); } };

// A server on loopback for the built book.
const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
  try {
    const body = await readFile(join(book, path.endsWith("/") ? path + "index.html" : path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
export const base = `http://127.0.0.1:${server.address().port}/`;

// chromedriver says on stdout which port it took.
const driver = spawn("chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "inherit"] });
const port = await new Promise((found, failed) => {
  let said = "";
  driver.stdout.on("data", (data) => {
    said += data;
    const match = /started successfully on port (\d+)/.exec(said);
    if (match) found(match[1]);
  });
  driver.on("error", failed);
  driver.on("exit", () => failed(new Error(`chromedriver ended: ${said}`)));
});

export async function send(method, path, body) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
  return value;
}

const profile = await mkdtemp(join(tmpdir(), "book-browser-"));
const args = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", `--user-data-dir=${profile}`,
  // Without a screen, Chromium has no mouse.
  "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
];
const { sessionId } = await send("POST", "/session", {
  capabilities: { alwaysMatch: { "goog:chromeOptions": { args }, "goog:loggingPrefs": { browser: "ALL" },
    // On a busy machine everything takes long.
    timeouts: { script: 300_000, pageLoad: 300_000 } } },
});
export const session = `/session/${sessionId}`;
export const open = (path) => send("POST", `${session}/url`, { url: base + path });
export const run = (script, ...args) => send("POST", `${session}/execute/sync`, { script, args });
export const runAsync = (script, ...args) => send("POST", `${session}/execute/async`, { script, args });
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
// More than enough, also while other programs keep the machine busy.
const PATIENCE = 120_000;
// Waits until a script or a function returns something true. Returns true if it does.
export async function until(condition, what) {
  for (const before = Date.now(); Date.now() - before < PATIENCE; await sleep(20)) {
    if (await (typeof condition === "string" ? run(condition) : condition())) return true;
  }
  check(false, `not after two minutes: ${what}`);
  return false;
}
export const cdp = (cmd, params) => send("POST", `${session}/goog/cdp/execute`, { cmd, params });
export const resize = (width, height = 900) =>
  cdp("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
export async function fits(where) {
  const [scroll, client] = await run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]");
  check(scroll <= client, `${where}: the page is ${scroll} wide, its window ${client}`);
}
export async function noConsoleErrors(where) {
  for (const { level, message } of await send("POST", `${session}/se/log`, { type: "browser" })) {
    check(level !== "SEVERE", `${where}: console: ${message}`);
  }
}

// Runs axe-core on the page, and fails on what is serious.
export async function accessible(where) {
  await run(axeSource);
  const violations = await runAsync(
    "const done = arguments[0]; axe.run().then(r => done(r.violations.map(v =>" +
    " ({ id: v.id, impact: v.impact, nodes: v.nodes.map(n => n.target.join(' ')).slice(0, 3) }))))");
  for (const { id, impact, nodes } of violations) {
    check(!["serious", "critical"].includes(impact), `${where}: ${impact}: ${id}: ${nodes.join(", ")}`);
  }
}

// Writes a picture of the page, or of what is in the window, if the command line names a directory for it.
export async function picture(name, width, whole = true) {
  if (!screenshots) return;
  await mkdir(screenshots, { recursive: true });
  const { cssContentSize } = await cdp("Page.getLayoutMetrics", {});
  const clip = { x: 0, y: 0, width, height: Math.min(cssContentSize.height, 9000), scale: 1 };
  const params = whole ? { captureBeyondViewport: true, clip } : {};
  const { data } = await cdp("Page.captureScreenshot", params);
  await writeFile(join(screenshots, `${name}.png`), Buffer.from(data, "base64"));
}

// Runs a test, ends the browser, and exits with the result.
export async function test(body, success) {
  try {
    await body();
  } catch (error) {
    check(false, error.stack);
  } finally {
    await send("DELETE", session).catch(() => {});
    driver.removeAllListeners("exit");
    driver.kill();
    server.close();
    server.closeAllConnections();
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
  console.log(failures.length ? `${failures.length} failures` : success);
  process.exit(failures.length ? 1 : 0);
}
