// The panel at the foot of the page: a terminal, and the machine behind it in a worker.
import { FitAddon } from "./addon-fit.mjs";
import { ALL, STATE } from "./sizes.mjs";
import { Terminal } from "./xterm.mjs";

const SMALLEST = 140;
const narrow = matchMedia("(max-width: 500px)");
const byTouch = matchMedia("(hover: none)");

function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}

const styles = element("link", { rel: "stylesheet", href: new URL("xterm.css", import.meta.url).href });
document.head.append(styles);

// Opens the panel, and resolves once the machine is there.
export async function open() {
    const status = element("span", { role: "status", textContent: `Loading a small Linux machine: ${Math.round(ALL / 1e6)} MB, once` });
    const progress = element("progress", { max: 1, value: 0, ariaLabel: "Loading" });
    const reset = element("button", { type: "button", textContent: "Reset", title: "A fresh machine", disabled: true });
    const close = element("button", { type: "button", textContent: "Close" });
    const handle = element("div", { role: "separator", tabIndex: 0, ariaLabel: "Height of the terminal", ariaOrientation: "horizontal" });
    const screen = element("div", { className: "screen" });
    const panel = element("section", { id: "live", ariaLabel: "Linux machine" }, handle,
        element("header", {}, status, progress, reset, close), screen);
    document.body.append(panel);
    document.body.classList.add("has-live");
    sessionStorage.setItem("live-open", "yes");

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

    // The height, by pointer and by key.
    const setHeight = wanted => {
        const largest = Math.round(innerHeight * 0.8);
        const height = Math.max(SMALLEST, Math.min(wanted, largest));
        document.body.style.setProperty("--live-height", `${height}px`);
        Object.assign(handle, { ariaValueMin: SMALLEST, ariaValueMax: largest, ariaValueNow: height });
        localStorage.setItem("live-height", height);
        fit.fit();
    };
    const height = () => panel.getBoundingClientRect().height;
    setHeight(Number(localStorage.getItem("live-height")) || Math.round(innerHeight * 0.4));
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
    addEventListener("resize", () => setHeight(height()));

    // Keys in the panel are not the book's, which turns its pages with arrows. Shift+Tab leaves the terminal.
    panel.addEventListener("keydown", event => event.stopPropagation());
    terminal.attachCustomKeyEventHandler(event => !(event.key === "Tab" && event.shiftKey));

    const name = sessionStorage.getItem("live-name") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
    sessionStorage.setItem("live-name", name);
    const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
    const post = (kind, value) => worker.postMessage({ kind, value });
    let atPrompt = false;
    let onPrompt = () => {};
    const begun = () => {
        status.textContent = byTouch.matches ? "Linux, in this page" : "Linux, in this page. Shift+Tab leaves the terminal.";
        progress.hidden = true;
        reset.disabled = false;
    };
    const started = new Promise((done, failed) => {
        const on = {
            progress: value => { progress.value = value; },
            begin: text => {
                terminal.reset();
                terminal.write(text.replaceAll("\x1b[6n", ""));
                begun();
                done();
            },
            show: text => terminal.write(text),
            prompt: value => {
                atPrompt = value;
                if (value) onPrompt();
            },
            error: message => {
                status.textContent = `The machine failed: ${message}`;
                progress.hidden = true;
                failed(new Error(message));
            },
        };
        worker.addEventListener("message", ({ data: { kind, value } }) => on[kind](value));
        worker.addEventListener("error", event => on.error(event.message || "the browser can't start a worker"));
    });
    terminal.onData(text => post("type", text));
    terminal.onResize(({ rows, cols }) => post("resize", { rows, cols }));
    const window = () => ({ rows: terminal.rows, cols: terminal.cols });
    post("start", { size: STATE, name, window: window() });

    reset.addEventListener("click", () => {
        status.textContent = "A fresh machine…";
        post("reset", { size: STATE, window: window() });
    });
    close.addEventListener("click", () => {
        panel.style.display = "none";
        document.body.classList.remove("has-live");
        sessionStorage.removeItem("live-open");
    });
    await started;

    // Types lines, each when the shell waits for one.
    async function run(lines, box) {
        panel.style.display = "";
        document.body.classList.add("has-live");
        sessionStorage.setItem("live-open", "yes");
        fit.fit();
        box.scrollIntoView({ block: "nearest" });
        if (!byTouch.matches) terminal.focus();
        if (!atPrompt) {
            status.textContent = "The shell is busy. End its command with Ctrl-C or exit, or press Reset.";
            return;
        }
        begun();
        for (const line of lines) {
            const next = new Promise(done => { onPrompt = done; });
            atPrompt = false;
            post("type", `${line}\n`);
            await next;
        }
    }
    return { run, put: (name, text) => post("put", { name, text }) };
}
