// The machine in the page, as a reader uses it: press Run on three pages, see the output, type, reset, and turn the page; narrow and
// wide, light and dark, with axe-core. Usage: node live.mjs [BOOK-DIRECTORY [SCREENSHOT-DIRECTORY]]

import { accessible, cdp, check, fits, noConsoleErrors, open, picture, resize, run, sleep, test, until } from "./driver.mjs";

// A page, which of its blocks to run, and what the terminal then shows that the page's text before it doesn't.
const PAGES = [
  ["step01.html", 0, /# hostname\s+host\s[^]*run hostname\s+mini-docker\s[^]*# hostname\s+host\s/],
  ["step02.html", 0, /I am 2, and my parent is 1/],
  ["step04.html", 0, /PID\s+COMMAND\s+1 \/proc\/self\/exe child ps -o pid,args\s+2 ps -o pid,args/],
];

const screen = () => run("return [...document.querySelectorAll('#live .xterm-rows > div')].map(it => it.textContent).join('\\n')");
const heard = () => run("return document.querySelector('#live [aria-live=assertive]').textContent");

// Waits for the terminal to show something, and returns the milliseconds that it took.
async function shows(pattern, where, read = screen) {
  const before = Date.now();
  let text;
  if (await until(async () => pattern.test(text = await read()), `${where}: the terminal shows ${pattern}`)) {
    return Date.now() - before;
  }
  const status = await run("return document.querySelector('#live [role=status]')?.textContent");
  console.error(`but\n${text.trim()}\nand the panel says: ${status}`);
}

const PROMPT = /root@host:\/mini-docker#\s*$/;
const press = (block) => run("document.querySelectorAll('.run-typed')[arguments[0]].click()", block);
const button = async (name) => {
  const press = "const it = [...document.querySelectorAll('#live button')].find(it => it.textContent === arguments[0]);" +
    " const can = !it.disabled; it.click(); return can";
  await until(() => run(press, name), `${name} can be pressed`);
};

const heightOfPanel = () => run("return parseFloat(document.body.style.getPropertyValue('--live-height'))");
const focused = () => run("return document.activeElement.ariaLabel");

// Turns to a page by its link in the table of contents.
async function turn(page) {
  await run("document.querySelector(`#mdbook-sidebar a[href$='${arguments[0]}']`).click()", page);
  const script = "return location.pathname.endsWith(arguments[0]) && document.readyState === 'complete'";
  await until(() => run(script, page), `the page turns to ${page}`);
}

async function type(text) {
  await run("document.querySelector('#live .xterm-helper-textarea').focus()");
  for (const key of [...text, "Enter"]) {
    const enter = key === "Enter" ? { code: key, windowsVirtualKeyCode: 13, text: "\r" } : { text: key };
    await cdp("Input.dispatchKeyEvent", { type: "keyDown", key, ...enter });
    await cdp("Input.dispatchKeyEvent", { type: "keyUp", key });
  }
}

await test(async () => {
  await open("step01.html");
  const loaded = () => run("return performance.getEntriesByType('resource').filter(it => it.name.includes('/live/')).length");
  check(await loaded() === 0, "something of the machine is loaded before the first press");

  for (const [width, theme] of [[1440, "light"], [390, "navy"]]) {
    await resize(width);
    await run("localStorage.clear(); sessionStorage.clear(); localStorage.setItem('mdbook-theme', arguments[0])", theme);
    for (const [page, block, expected] of PAGES) {
      const where = `${page}, ${theme}, ${width} pixels`;
      const first = page === PAGES[0][0];
      await (first ? open : turn)(page);
      // On the other pages the panel opens by itself, with what the terminal showed before.
      if (!first) console.log(`${where}: the machine is back after ${await shows(/mini-docker#/, where)} ms`);
      await press(block);
      console.log(`${where}: ${first ? "loaded, and " : ""}the commands ran after ${await shows(expected, where)} ms`);
      await shows(PROMPT, where);
      check(await focused() === "Terminal input", `${where}: Run leaves the focus on ${await focused()}`);
      // Later, a screen reader may hear that there is too much.
      if (first) await shows(expected, `${where}, for a screen reader`, heard);
      check(await loaded() > 0, `${where}: the machine came from nowhere`);
      await fits(where);
      const isVisible = await run("const box = document.querySelectorAll('.run-typed')[arguments[0]].getBoundingClientRect();" +
        " return box.top >= 0 && box.bottom <= document.querySelector('#live').getBoundingClientRect().top", block);
      check(isVisible, `${where}: the block that runs is not in sight`);
      await accessible(where);
      await picture(`live-${page.replace(".html", "")}-${theme}-${width}`, width, false);
      await noConsoleErrors(where);
    }

    const where = `${theme}, ${width} pixels`;
    await type("touch kept; step04-proc run echo typed by $((40 + 2))");
    console.log(`${where}: a container answers after ${await shows(/typed by 42/, where)} ms`);
    await turn("rootfs.html");
    await shows(/typed by 42/, `${where}, on another page`);
    await type("ls");
    await shows(/kept\s/, `${where}, on another page`);
    const before = Date.now();
    await button("Reset");
    await shows(/^root@host:\/mini-docker#\s*$/, `${where}, after Reset`);
    console.log(`${where}: Reset took ${Date.now() - before} ms`);
    await type("ls");
    await shows(/rootfs/, `${where}, after Reset`);
    check(!(await screen()).includes("kept"), `${where}: Reset keeps a file`);
    await turn("page-machine.html");
    await shows(/# ls\s+rootfs/, `${where}, the scratch pad`);
    // At another width the shell draws its line again, and still waits for a command.
    await resize(width - 60);
    await sleep(1000);
    await resize(width);
    await sleep(1000);
    await run("document.querySelector('.scratch button').click()");
    await shows(/sh mine\.sh ps\s+PID[^]*\s1 .*ps\s/, `${where}, the scratch pad`);
    await accessible(`${where}, the scratch pad`);
    await picture(`live-scratch-${theme}-${width}`, width, false);
    for (const [window, height] of [[300, 240], [900, 360]]) {
      await resize(width, window);
      await until(async () => await heightOfPanel() === height, `${where}: the panel becomes ${height} pixels high`);
    }
    await button("Close");
    check(await run("return document.querySelector('#live').getClientRects().length === 0"), `${where}: the panel doesn't close`);
    await resize(width - 60);
    await resize(width);
    await sleep(200);
    const height = await heightOfPanel();
    check(height === 360, `${where}: while it is closed, the panel's height becomes ${height}`);
    check(await focused() === "Run sh mine.sh ps", `${where}: Close leaves the focus on ${await focused()}`);
    await open("step01.html");
    check(await run("return document.querySelector('#live') === null"), `${where}: a closed panel opens on the next page`);
    await noConsoleErrors(where);
  }
}, "the machine is well in the browser");
