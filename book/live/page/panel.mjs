// The panel at the foot of the page: a terminal, and the machine behind it in a worker.
import { FitAddon } from "./addon-fit.mjs";
import { ALL, STATE } from "./sizes.mjs";
import { Terminal } from "./xterm.mjs";

const SMALLEST = 140;
// How long turning the page may take, in milliseconds.
const LONGEST_PAUSE = 10_000;
const narrow = matchMedia("(max-width: 500px)");
const byTouch = matchMedia("(hover: none)");

function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}

const styles = element("link", { rel: "stylesheet", href: new URL("xterm.css", import.meta.url).href });
document.head.append(styles);

// Opens the panel, and resolves once the machine is there. `local` and `session` remember things, if the browser does.
export async function open({ local, session }) {
    const status = element("span", { role: "status", textContent: "Starting a small Linux machine" });
    const progress = element("progress", { max: 1, value: 0, ariaLabel: "Loading" });
    const reset = element("button", { type: "button", textContent: "Reset", title: "A fresh machine", disabled: true });
    const close = element("button", { type: "button", textContent: "Close" });
    const handle = element("div", { role: "separator", tabIndex: 0, ariaLabel: "Height of the terminal", ariaOrientation: "horizontal" });
    const screen = element("div", { className: "screen" });
    const panel = element("section", { id: "live", ariaLabel: "Linux machine" }, handle,
        element("header", {}, status, progress, reset, close), screen);
    document.body.append(panel);
    const show = () => {
        panel.style.display = "";
        document.body.classList.add("has-live");
        session.setItem("live-open", "yes");
    };
    const hide = () => {
        panel.style.display = "none";
        document.body.classList.remove("has-live");
        session.removeItem("live-open");
    };
    show();

    const terminal = new Terminal({ screenReaderMode: true, scrollback: 2000, fontSize: narrow.matches ? 11 : 14 });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    const dress = () => {
        const { backgroundColor, color } = getComputedStyle(panel);
        terminal.options.theme = { background: backgroundColor, foreground: color, cursor: color, cursorAccent: backgroundColor,
            selectionBackground: "#79b8ff80" };
        terminal.options.fontFamily = getComputedStyle(document.querySelector("pre.terminal, pre, code") ?? panel).fontFamily;
    };
    dress();
    terminal.open(screen);
    new MutationObserver(dress).observe(document.documentElement, { attributeFilter: ["class"] });

    // The height, by pointer and by key. While the window is too small for it, the panel is smaller.
    let wanted = Number(local.getItem("live-height")) || Math.round(innerHeight * 0.4);
    const layOut = () => {
        const largest = Math.round(innerHeight * 0.8);
        const height = Math.max(SMALLEST, Math.min(wanted, largest));
        document.body.style.setProperty("--live-height", `${height}px`);
        Object.assign(handle, { ariaValueMin: SMALLEST, ariaValueMax: largest, ariaValueNow: height });
        fit.fit();
    };
    const height = () => panel.getBoundingClientRect().height;
    const setHeight = to => {
        wanted = to;
        layOut();
        wanted = height();
        local.setItem("live-height", wanted);
    };
    layOut();
    handle.addEventListener("pointerdown", event => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", event => {
        if (handle.hasPointerCapture(event.pointerId)) setHeight(innerHeight - event.clientY);
    });
    handle.addEventListener("keydown", event => {
        const change = { ArrowUp: 40, ArrowDown: -40 }[event.key];
        if (change) {
            event.preventDefault();
            setHeight(height() + change);
        }
    });
    // A closed panel has no height.
    addEventListener("resize", () => height() && layOut());
    // The status takes one line or two.
    new ResizeObserver(() => height() && fit.fit()).observe(screen);

    // Keys in the panel are not the book's, which turns its pages with arrows. Shift+Tab leaves the terminal.
    panel.addEventListener("keydown", event => event.stopPropagation());
    terminal.attachCustomKeyEventHandler(event => !(event.key === "Tab" && event.shiftKey));

    // It starts with the time, so that old sessions can be forgotten.
    const name = session.getItem("live-name") ?? `${Date.now()}-${crypto.getRandomValues(new Uint32Array(1))}`;
    session.setItem("live-name", name);
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    const post = (kind, value) => worker.postMessage({ kind, value });
    const ready = byTouch.matches ? "Linux, in this page" : "Linux, in this page. Shift+Tab leaves the terminal.";
    let turnPage = () => {};
    // What to do when the lines of a press have run, by the number of the press.
    const presses = new Map();
    let pressed = 0;
    const forget = () => {
        presses.forEach(done => done());
        presses.clear();
    };
    const started = new Promise((done, failed) => {
        const on = {
            progress: value => {
                if (!progress.value) status.textContent = `Loading a small Linux machine: ${Math.round(ALL / 1e6)} MB, once`;
                progress.value = value;
            },
            // What was written before may still wait to be drawn, so the reset waits behind it.
            screen: text => terminal.write(`\x1bc${text}`),
            begin: () => {
                status.textContent = ready;
                progress.hidden = true;
                reset.disabled = false;
                done();
            },
            show: text => terminal.write(text),
            kept: () => turnPage(),
            ran: ({ id, busy }) => {
                // After a reset nobody waits for it.
                if (!presses.has(id)) return;
                status.textContent = busy ? "The shell is busy. End its command with Ctrl-C or exit, or press Reset." : ready;
                presses.get(id)();
                presses.delete(id);
            },
            error: message => {
                status.textContent = `The machine failed: ${message}`;
                progress.hidden = true;
                reset.disabled = false;
                forget();
                failed(new Error(message));
            },
        };
        worker.addEventListener("message", ({ data: { kind, value } }) => on[kind](value));
        worker.addEventListener("error", event => on.error(event.message || "the browser can't start a worker"));
    });
    // The shell asks where the cursor is. The answer would arrive when a command already runs.
    terminal.parser.registerCsiHandler({ final: "n" }, () => true);
    terminal.onData(text => post("type", text));
    terminal.onResize(({ rows, cols }) => post("resize", { rows, cols }));
    const window = () => ({ rows: terminal.rows, cols: terminal.cols });
    post("start", { size: STATE, name, window: window() });

    reset.addEventListener("click", () => {
        status.textContent = "A fresh machine…";
        reset.disabled = true;
        post("reset", { size: STATE, window: window() });
        forget();
    });
    // Back to where the reader came from.
    let opener;
    close.addEventListener("click", () => {
        hide();
        opener?.focus();
    });
    try {
        await started;
    } catch (error) {
        // The next press tries again.
        worker.terminate();
        hide();
        panel.remove();
        throw error;
    }
    // The next page gets the machine as it is now, unless that takes too long.
    document.addEventListener("click", event => {
        const link = event.target.closest("a[href]");
        const stays = !link || link.target || link.origin !== location.origin || link.pathname === location.pathname;
        if (stays || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || reset.disabled) return;
        event.preventDefault();
        turnPage = () => location.assign(link.href);
        setTimeout(() => turnPage(), LONGEST_PAUSE);
        status.textContent = "Keeping the machine for the next page…";
        post("leave");
    });

    // Types lines, each when the shell waits for one, and resolves when the last has run. `button` was pressed, and `box` is to be
    // seen. A file is written before.
    function run(lines, button, box, file) {
        opener = button;
        show();
        layOut();
        box.scrollIntoView({ block: "nearest" });
        if (!byTouch.matches) terminal.focus();
        return new Promise(done => {
            const id = pressed++;
            presses.set(id, done);
            post("run", { id, lines, file });
        });
    }
    return { run };
}
