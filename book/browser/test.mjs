// Opens the built book in headless Chromium, as a reader does: every page of the sidebar, the search, the themes; narrow and
// wide, light and dark, with everything unfolded. Fails on a console error, on a page that must be scrolled sideways, on something
// wide that a keyboard can't scroll, and on a serious accessibility violation (axe-core).
// Usage: node test.mjs [BOOK-DIRECTORY [SCREENSHOT-DIRECTORY]]

import {
  accessible, base, cdp, check, fits, noConsoleErrors, open, picture, resize, run, runAsync, send, session, test, until,
} from "./driver.mjs";

const WIDTHS = [390, 800, 1440];
const THEMES = ["light", "navy"];
// The pages with colours of our own are tried in all themes.
const ALL_THEMES = [...THEMES, "rust", "coal", "ayu"];
const COLOURED = ["introduction.html", "step04.html", "podman.html", "measured.html"];

await test(async () => {
  await resize(1440);
  await open("index.html");
  await until("return document.querySelectorAll('#mdbook-sidebar a[href]').length > 0", "the sidebar has links");
  const pages = await run(
    "return [...new Set([...document.querySelectorAll('#mdbook-sidebar a[href]')].map(a => a.href.split('#')[0]))]");
  check(pages.length >= 10, `the sidebar has all chapters, not ${pages.length}`);

  for (const page of pages) {
    const name = page.slice(base.length);
    for (const theme of COLOURED.includes(name) ? ALL_THEMES : THEMES) {
      for (const width of WIDTHS) {
        await resize(width);
        // On the page before, which has the same origin.
        await run("localStorage.setItem('mdbook-theme', arguments[0])", theme);
        await open(name);
        // What is folded is checked as well.
        await runAsync(
          "document.querySelectorAll('details').forEach(it => { it.open = true; });" +
          " requestAnimationFrame(() => requestAnimationFrame(arguments[0]))");
        const where = `${name}, ${theme}, ${width} pixels`;
        check(await run("return document.documentElement.classList.contains(arguments[0])", theme), `${where}: the theme`);
        check(await run("return document.title.length > 0 && document.querySelector('main h1') !== null"), `${where}: a title`);
        await fits(where);
        const unreachable = await run(
          "return [...document.querySelectorAll('main pre, main pre > code, .table-wrapper')]" +
          ".filter(it => it.scrollWidth > it.clientWidth && !(it.tabIndex === 0 && ['auto', 'scroll'].includes(getComputedStyle(it).overflowX)))" +
          ".map(it => it.textContent.slice(0, 40))");
        check(unreachable.length === 0, `${where}: wide, but no keyboard scrolls them: ${unreachable.join(" | ")}`);
        const widths = await run(
          "const width = it => Math.round(it.getBoundingClientRect().width); const main = width(document.querySelector('main'));" +
          " return [...document.querySelectorAll('main > :is(p, pre, .terminal-box, .diff-box, .table-wrapper, details)')]" +
          ".filter(it => it.checkVisibility() && width(it) !== main).map(it => `${width(it)} instead of ${main}: ${it.textContent.slice(0, 40)}`)");
        check(widths.length === 0, `${where}: not as wide as the column: ${widths.join(" | ")}`);
        // A flag or a key in two lines has more than one rectangle.
        const broken = await run(
          "return [...document.querySelectorAll('main kbd, main code .word')].filter(it => it.getClientRects().length > 1)" +
          ".map(it => it.textContent)");
        check(broken.length === 0, `${where}: broken between lines: ${broken.join(", ")}`);
        const moved = await run(
          "return [...document.querySelectorAll('.table-wrapper')].filter(it => { it.scrollLeft = 1e4; const row = it.querySelector('tbody tr');" +
          " const left = it.getBoundingClientRect().left; const cell = row.cells[0].getBoundingClientRect(); it.scrollLeft = 0;" +
          " return Math.abs(cell.left - left) > 1 || it.scrollWidth > it.clientWidth && cell.width > 0.6 * it.clientWidth; }).map(it => it.textContent.slice(0, 40))");
        check(moved.length === 0, `${where}: these tables lose their rows' names: ${moved.join(" | ")}`);
        const covered = await run(
          "const edges = [...document.querySelectorAll('.nav-chapters')].filter(it => it.offsetParent !== null ||" +
          " getComputedStyle(it).position === 'fixed' && it.getClientRects().length).map(it => it.getBoundingClientRect());" +
          " return [...document.querySelectorAll('main > *')].filter(it => { const box = it.getBoundingClientRect();" +
          " return edges.some(edge => box.left < edge.right && edge.left < box.right); }).map(it => it.tagName)");
        check(covered.length === 0, `${where}: the arrows at the edges lie over ${covered.join(", ")}`);
        // Takes the longest, and finds the same at each width except what scrolls: once in each theme, wide and narrow in turn.
        if (width === WIDTHS.at(theme === THEMES[0] ? -1 : 0)) await accessible(where);
        await picture(`${name.replace(".html", "")}-${theme}-${width}`, width);
        await noConsoleErrors(where);
      }
    }
  }

  // The search finds a word of a chapter, and its result leads there.
  await resize(1440);
  await open("index.html");
  await run("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 's', bubbles: true, composed: true }))");
  await until("return document.querySelector('#mdbook-searchbar')?.offsetParent !== null", "the search opens by a key");
  await run("const bar = document.querySelector('#mdbook-searchbar'); bar.value = 'chroot';" +
    " bar.dispatchEvent(new Event('input', { bubbles: true })); bar.dispatchEvent(new KeyboardEvent('keyup', { key: 't' }));");
  if (await until("return document.querySelectorAll('#mdbook-searchresults a').length > 0", "the search finds chroot")) {
    await run("document.querySelector('#mdbook-searchresults a').click()");
    await until("return location.pathname !== '/index.html'", "a search result leads to its page");
    await until("return document.querySelector('main code mark') !== null", "the page marks the word that was searched");
    check(await run("return !document.querySelector('main').innerText.includes('data-markjs')"), "a marked word shows its element");
  }

  // The button of a terminal copies what is typed, and no prompt or answer.
  await open("step01.html");
  const copied = await runAsync(
    "const done = arguments[0]; const button = document.querySelector('.copy-typed');" +
    " navigator.clipboard.writeText = async text => done(text); button.click();");
  const prompts = await run("return document.querySelector('.terminal').textContent.match(/^\\$ .*/gm).map(it => it.slice(2))");
  check(prompts.length > 1 && copied === prompts.join("\n"), `the button copied ${copied}`);

  // The chosen language is shown, and remembered on other pages.
  const languages = "return [...document.querySelectorAll('.languages > [data-language]')].filter(it => it.offsetParent !== null)" +
    ".map(it => it.dataset.language).join()";
  check(await run(languages) === "Rust", "the essential program is in Rust at first");
  await run("[...document.querySelectorAll('.choice button')].find(it => it.textContent === 'Python').click()");
  check(await run(languages) === "Python", "a button shows another language");
  await open("step02.html");
  check(await run(languages) === "Python", "the language is remembered");
  check(await run("return document.querySelector('.languages').innerText.includes('os.fork()')"), "its code is visible");
  await run("localStorage.removeItem('mini-docker-language')");

  // The picture in the introduction moves from step to step, by keyboard, with and without script, and without motion if asked to.
  const states = () => run(
    "return [...document.querySelectorAll('.moving .states > div')].map(it => getComputedStyle(it).visibility === 'visible')");
  const isOnly = (list, index) => list.length === 5 && list.every((it, at) => it === (at === index));
  const motion = (value) => cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-reduced-motion", value }] });
  const seconds = () => run("return parseFloat(getComputedStyle(document.querySelector('.moving .states > div')).transitionDuration)");
  for (const hasScript of [true, false]) {
    await cdp("Emulation.setScriptExecutionDisabled", { value: !hasScript });
    await motion("reduce");
    await open("introduction.html");
    const where = `the picture, ${hasScript ? "with" : "without"} script`;
    check(isOnly(await states(), 4), `${where}: it is complete`);
    check(await seconds() === 0, `${where}: nothing moves if that was asked for`);
    const radio = await send("POST", `${session}/element`, { using: "css selector", value: ".moving input:checked" });
    const [id] = Object.values(radio);
    await send("POST", `${session}/element/${id}/value`, { text: "\uE012" });
    check(isOnly(await states(), 3), `${where}: arrow left leads to step 3`);
    check((await run("return location.pathname")) === "/introduction.html", `${where}: the page stays`);
    await motion("no-preference");
    check(await seconds() > 0, `${where}: it moves`);
  }
  await cdp("Emulation.setScriptExecutionDisabled", { value: false });

  // The table of `compare` has the colours of the picture.
  await open("step04.html");
  for (const step of ["step1", "step2", "step3", "step4"]) {
    const [drawn, listed] = await run(
      "return [['.growing .' + arguments[0] + ' > rect', 'fill'], ['.compare td.' + arguments[0], 'backgroundColor']]" +
      ".map(([selector, property]) => getComputedStyle(document.querySelector(selector))[property])", step);
    check(drawn === listed && drawn.startsWith("rgb("), `${step} is ${drawn} in the picture and ${listed} in the table`);
  }

  // On paper everything is there: nothing to press, and no line that the edge cuts.
  await open("print.html");
  await cdp("Emulation.setEmulatedMedia", { media: "print" });
  const [buttons, tooWide] = await run(
    "return [[...document.querySelectorAll('main button')].filter(it => it.offsetParent !== null).length," +
    " [...document.querySelectorAll('main pre')].filter(it => it.scrollWidth > it.clientWidth + 1).map(it => it.textContent.slice(0, 40))]");
  check(buttons === 0 && tooWide.length === 0, `print: ${buttons} buttons; too wide: ${tooWide.join(" | ")}`);
  await cdp("Emulation.setEmulatedMedia", { media: "" });
  await noConsoleErrors("the picture and print");

  // The theme is chosen in a menu.
  await open("index.html");
  await run("document.querySelector('#mdbook-theme-toggle').click()");
  await until("return document.querySelector('#mdbook-theme-list').offsetParent !== null", "the theme menu opens");
  await run("document.querySelector('#mdbook-theme-list button[id$=coal]').click()");
  await until("return document.documentElement.classList.contains('coal')", "the theme changes");
  await noConsoleErrors("search and themes");
}, "the book is well in the browser");
