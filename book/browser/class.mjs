// Opens the page of `cargo xtask class --serve` in headless Chromium: narrow and wide, light and dark, with learners whose names are
// attacks; and looks at what changes when a learner goes on, and when the server ends.
// Usage: node class.mjs [- SCREENSHOT-DIRECTORY]

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { accessible, cdp, check, fits, noConsoleErrors, picture, resize, run, send, session, test, until } from "./driver.mjs";

const room = await mkdtemp(join(tmpdir(), "class-"));
async function learner(name, program, ...lines) {
  const path = `/home/${program}`;
  await mkdir(join(room, name), { recursive: true });
  await writeFile(join(room, name, "progress.txt"), [`current program ${path}`, `[${path}]`, ...lines, ""].join("\n"));
}
await learner("anna", "mine.py", "skipped uts 1", "hints pid 2", "failed pid no-pid-namespace");
await learner("bo", "mine.go", "failed pid no-pid-namespace");
await learner("cleo", "mine.c", "hints run 1");
const attack = "<img src=x onerror='document.title=0'>";
await learner(attack, `"><script>document.title=0<∕script>`, "failed uts <b>{rows}</b>");
await learner("a-very-long-name-for-an-account-on-this-machine", "a-program-with-a-long-name.py");

const server = spawn("cargo", ["xtask", "class", room, "--serve", "127.0.0.1:0"], { stdio: ["ignore", "inherit", "pipe"] });
const url = await new Promise((found, failed) => {
  let said = "";
  server.stderr.on("data", (data) => {
    said += data;
    const match = /(http:\S+) /.exec(said);
    if (match) found(match[1]);
  });
  server.on("exit", () => failed(new Error(`the server ended: ${said}`)));
});

const text = (selector) => run("return document.querySelector(arguments[0]).innerText", selector);

async function shows() {
  for (const scheme of ["light", "dark"]) {
    for (const width of [390, 1440]) {
      const where = `class, ${scheme}, ${width} pixels`;
      await cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      await resize(width);
      await send("POST", `${session}/url`, { url });
      await fits(where);
      const background = await run("return getComputedStyle(document.body).backgroundColor");
      check((background === "rgb(255, 255, 255)") === (scheme === "light"), `${where}: the background is ${background}`);
      await accessible(where);
      await picture(`class-${scheme}-${width}`, width);
    }
  }
  const names = await run("return [...document.querySelectorAll('tbody th')].map(it => it.firstChild.textContent)");
  check(names.length === 5 && names[0] === "anna" && names.includes(attack), `the learners are ${names.join(" | ")}`);
  check((await text("#board")).startsWith("2 of 5 have no-pid-namespace: step02#"), `the board has: ${await text("#board")}`);
  const made = await run("return [document.querySelectorAll('tbody :is(img, script, b)').length, document.title]");
  check(made[0] === 0 && made[1] === "5 learners, 3 of them with a failed check", `a name made elements: ${made.join()}`);
  await noConsoleErrors("class");

  // What is said aloud is the sentence alone, and only if it changes.
  await run("window.said = []; new MutationObserver(them => them.forEach(it => said.push(it.target.id)))" +
    ".observe(document.querySelector('[aria-live]'), { childList: true })");
  check(await run("return document.querySelectorAll('[aria-live], [role=status], [role=alert]').length") === 1, "one is said aloud");
  await learner("cleo", "mine.c", "hints run 2");
  await until("return [...document.querySelectorAll('tbody tr')].some(it => it.innerText.startsWith('cleo') &&" +
    " it.cells[3].innerText === '2')", "the page shows what cleo does");
  check(await run("return said.length") === 0, "nothing is said of it");
  await learner("cleo", "mine.c", "failed pid no-pid-namespace");
  await until("return said.join() === 'board'", "the new sentence is said once");
  check((await text("#board")).startsWith("3 of 5 have "), `the board has: ${await text("#board")}`);
  check(await text("#stale") === "", "the page is fresh");

  // Without script the page is read again as a whole.
  await cdp("Emulation.setScriptExecutionDisabled", { value: true });
  await send("POST", `${session}/url`, { url });
  await learner("bo", "mine.go", "hints pid 1");
  await until("return document.querySelector('#board').textContent.startsWith('2 of 5 have ')", "it is read again without script");
  await cdp("Emulation.setScriptExecutionDisabled", { value: false });
  await noConsoleErrors("class, changed");

  await send("POST", `${session}/url`, { url });
  server.removeAllListeners("exit");
  server.kill();
  await until("return document.querySelector('#stale').textContent.startsWith('No answer')", "a page without a server says so");
  await picture("class-stale", 1440);
}

await test(async () => {
  try {
    await shows();
  } finally {
    server.kill();
    await rm(room, { recursive: true });
  }
}, "the page of class is well in the browser");
