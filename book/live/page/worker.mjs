// The machine in a thread of its own, so that the page stays smooth. The page posts what to do, and gets what the terminal shows.
import { ask, PROMPT, start, type } from "./machine.mjs";

// After this long without input and output, in milliseconds, the machine is kept for the next page.
const QUIET = 600;
// How much of the screen is kept, in characters.
const LONGEST = 20_000;
const DAY = 24 * 60 * 60 * 1000;
const PROMPT_ONLY = "root@host:/mini-docker# ";

let machine;
let fresh;
let session;
let screen = "";
const post = (kind, value) => postMessage({ kind, value });

// What changes the machine, or asks it something, is done one after the other. A reset drops what waits for the old machine.
let last = Promise.resolve();
let resets = 0;
function later(task) {
    const mine = resets;
    last = last.then(() => mine === resets && task()).catch(error => mine === resets && post("error", error.message));
}
addEventListener("unhandledrejection", ({ reason }) => post("error", reason.message));

// The session's storage: the state of the machine, and what its terminal shows.
async function stored(mode, use) {
    const opening = indexedDB.open("mini-docker", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("machines");
    const database = await new Promise((done, failed) => {
        opening.onsuccess = () => done(opening.result);
        opening.onerror = () => failed(opening.error);
    });
    try {
        const transaction = database.transaction("machines", mode);
        const request = use(transaction.objectStore("machines"));
        // What isn't complete when the page turns is lost, even if its request succeeded.
        await new Promise((done, failed) => {
            transaction.oncomplete = done;
            transaction.onabort = () => failed(transaction.error);
        });
        return request.result;
    } finally {
        database.close();
    }
}

let changed = false;
let quiet;

async function keep() {
    if (!changed) return;
    try {
        // v86 saves no byte that the machine hasn't read yet. Before it answers, it reads them all, those of the terminal too.
        await ask(machine, ":");
        collect();
        clearTimeout(quiet);
        changed = false;
        const kept = { screen, state: await machine.save_state() };
        await stored("readwrite", store => store.put(kept, session));
    } catch {
        // A browser without storage starts a fresh machine on the next page.
    }
}

function keepSoon() {
    changed = true;
    clearTimeout(quiet);
    quiet = setTimeout(later, QUIET, keep);
}

// What came since the last message, which takes a moment to collect, and since the last line of `run`.
let unsent = "";
let answer = "";
let onPrompt = () => {};

function show(text) {
    if (unsent === "") setTimeout(collect, 8);
    unsent += text;
}

function collect() {
    if (unsent === "") return;
    screen = (screen + unsent).slice(-LONGEST);
    answer = (answer + unsent).slice(-LONGEST);
    post("show", unsent);
    unsent = "";
    keepSoon();
    // A prompt that is only drawn again comes without a line feed. A line's echo ends with one.
    if (answer.includes("\n") && PROMPT.test(answer)) onPrompt();
}

// Also without a network, if the browser still has the file.
async function get(name) {
    const url = new URL(name, import.meta.url);
    const response = await fetch(url).catch(() => fetch(url, { cache: "force-cache" }));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return response;
}

async function download(name, total) {
    const response = await get(name);
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

const resize = ({ rows, cols }, which = machine) => ask(which, `stty -F /dev/ttyS0 rows ${rows} cols ${cols}`);

// The emulator's program, unpacked: a URL.
let emulator;
async function unpack(name) {
    const unpacked = (await get(name)).body.pipeThrough(new DecompressionStream("gzip"));
    return URL.createObjectURL(await new Response(unpacked).blob());
}

async function begin(buffer, text, window) {
    screen = text;
    unsent = "";
    post("screen", text);
    emulator ??= await unpack("v86.wasm.z");
    const next = await start({ wasm_path: emulator, initial_state: { buffer } }, show);
    await resize(window, next);
    machine = next;
    post("begin");
    keepSoon();
}

// In base64, so that no character means anything on the way.
async function put({ name, text }) {
    const bytes = Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join("");
    await ask(machine, `echo ${btoa(bytes)} | base64 -d >/mini-docker/${name}`);
}

// Types lines, each when the shell waits for one.
let typing = false;
async function typeAll(lines) {
    const mine = resets;
    typing = true;
    for (const line of lines) {
        answer = "";
        const prompt = new Promise(done => { onPrompt = done; });
        type(machine, `${line}\n`);
        await prompt;
        if (mine !== resets) return;
    }
    typing = false;
}

const todo = {
    async start({ size, name, window }) {
        // The machine of an older book doesn't fit the pages.
        session = `${name}-${size}`;
        const kept = await stored("readonly", store => store.get(session)).catch(() => undefined);
        if (!kept) {
            // Of no use any more. Other tabs have sessions, too, so the young ones stay.
            const old = IDBKeyRange.upperBound(String(Date.now() - DAY));
            await stored("readwrite", store => store.delete(old)).catch(() => {});
            fresh = await download("machine.zst", size);
        }
        await begin(kept ? kept.state : fresh.slice(0), kept ? kept.screen : PROMPT_ONLY, window);
    },
    async reset({ size, window }) {
        typing = false;
        onPrompt();
        // Without a network the old machine stays.
        fresh ??= await download("machine.zst", size);
        const old = machine;
        machine = undefined;
        clearTimeout(quiet);
        await stored("readwrite", store => store.delete(session)).catch(() => {});
        // Another state in a machine that runs would stop its clock.
        await old?.destroy();
        await begin(fresh.slice(0), PROMPT_ONLY, window);
    },
    // Keys that are pressed before the machine is there.
    type: text => type(machine, text),
    resize: window => resize(window),
    async leave() {
        await keep();
        post("kept");
    },
    // `file`, if there is one, is there before the command that reads it is typed. What is typed may run for long, so nothing waits
    // for it except the caller.
    async run({ id, lines, file }) {
        // A shell that draws its prompt again has done so before process 1 answers.
        await (file ? put(file) : ask(machine, ":"));
        collect();
        if (typing || !PROMPT.test(screen)) return post("ran", { id, busy: true });
        typeAll(lines).then(() => post("ran", { id }));
    },
};

addEventListener("message", ({ data: { kind, value } }) => {
    if (kind === "type" && machine) {
        // A key doesn't wait for what the page asks.
        type(machine, value);
        keepSoon();
        return;
    }
    if (kind === "reset") {
        // Whatever the old machine still does, or doesn't answer any more, it delays nothing.
        resets += 1;
        last = Promise.resolve();
    }
    later(() => todo[kind](value));
});
