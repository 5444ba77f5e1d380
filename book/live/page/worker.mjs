// The machine in a thread of its own, so that the page stays smooth. The page posts what to do, and gets what the terminal shows.
import { ask, PROMPT, start, type } from "./machine.mjs";

// After this long without output, in milliseconds, the machine is kept for the next page.
const QUIET = 600;
// How much of the screen is kept, in characters.
const LONGEST = 20_000;
const PROMPT_ONLY = "root@host:/mini-docker# ";

let machine;
let fresh;
let session;
let screen = "";
let quiet;
const post = (kind, value) => postMessage({ kind, value });

// The session's storage: the state of the machine, and what its terminal shows.
const stored = (mode, use) => new Promise((done, failed) => {
    const opening = indexedDB.open("mini-docker", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("machines");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
        const request = use(opening.result.transaction("machines", mode).objectStore("machines"));
        request.onerror = () => failed(request.error);
        request.onsuccess = () => {
            opening.result.close();
            done(request.result);
        };
    };
});

async function keep() {
    try {
        const state = await machine.save_state();
        await stored("readwrite", store => store.put({ state, screen }, session));
    } catch {
        // A browser without storage starts a fresh machine on the next page.
    }
}

// What came since the last message, which takes a moment to collect.
let unsent = "";

function show(text) {
    if (unsent === "") setTimeout(flush, 8);
    unsent += text;
}

function flush() {
    screen = (screen + unsent).slice(-LONGEST);
    post("show", unsent);
    unsent = "";
    post("prompt", PROMPT.test(screen));
    clearTimeout(quiet);
    quiet = setTimeout(keep, QUIET);
}

async function download(name, total) {
    const response = await fetch(new URL(name, import.meta.url));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    const parts = [];
    let length = 0;
    for (const reader = response.body.getReader(); ;) {
        const { done, value } = await reader.read();
        if (done) break;
        parts.push(value);
        length += value.length;
        post("progress", length / total);
    }
    return new Blob(parts).arrayBuffer();
}

const resize = ({ rows, cols }) => ask(machine, `stty -F /dev/ttyS0 rows ${rows} cols ${cols}`);

async function begin(buffer, text, window) {
    machine = await start({ wasm_path: new URL("v86.wasm", import.meta.url).href, initial_state: { buffer } }, show);
    await resize(window);
    screen = text;
    unsent = "";
    post("prompt", PROMPT.test(screen));
    post("begin", text);
}

const todo = {
    async start({ size, name, window }) {
        session = name;
        const old = await stored("readonly", store => store.get(session)).catch(() => undefined);
        if (!old) {
            // What earlier sessions left is of no use any more.
            await stored("readwrite", store => store.clear()).catch(() => {});
            fresh = await download("machine.zst", size);
        }
        const buffer = old ? old.state : fresh.slice(0);
        await begin(buffer, old ? old.screen : PROMPT_ONLY, window);
    },
    async reset({ size, window }) {
        fresh ??= await download("machine.zst", size);
        clearTimeout(quiet);
        await stored("readwrite", store => store.delete(session)).catch(() => {});
        // Another state in a machine that runs would stop its clock.
        await machine.destroy();
        await begin(fresh.slice(0), PROMPT_ONLY, window);
        quiet = setTimeout(keep, QUIET);
    },
    type: text => type(machine, text),
    resize,
    // In base64, so that no character means anything on the way.
    put: ({ name, text }) => {
        const bytes = String.fromCharCode(...new TextEncoder().encode(text));
        return ask(machine, `echo ${btoa(bytes)} | base64 -d >/mini-docker/${name}`);
    },
};

// One after the other: a file is there before the command that reads it is typed.
let last = Promise.resolve();
addEventListener("message", ({ data: { kind, value } }) => {
    last = last.then(() => todo[kind](value)).catch(error => post("error", error.message));
});
