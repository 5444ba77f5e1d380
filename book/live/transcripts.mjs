// Types the commands of transcripts, each in a fresh machine: node transcripts.mjs MACHINE <[{"name", "lines"}] >[{"name", "text", "seconds"}]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [directory] = process.argv.slice(2);
const { PROMPT, start, type } = await import(pathToFileURL(join(directory, "machine.mjs")));
const state = new Uint8Array(readFileSync(join(directory, "machine.zst"))).buffer;
// In milliseconds, on a machine that other programs keep busy.
const LIMIT = 120_000;

let screen = "";
let look = () => {};
const show = text => {
    screen += text;
    look();
};
const prompt = () => new Promise((done, failed) => {
    const limit = setTimeout(() => failed(new Error(`no prompt after two minutes; the screen shows:\n${screen}`)), LIMIT);
    look = () => {
        // After the prompt the shell asks for the cursor's position. Before that comes, the prompt isn't complete.
        if (PROMPT.test(screen) && screen.endsWith("\x1b[6n")) {
            look = () => {};
            clearTimeout(limit);
            done();
        }
    };
});

const results = [];
for (const { name, lines } of JSON.parse(readFileSync(0, "utf8"))) {
    const machine = await start({ wasm_path: join(directory, "v86.wasm"), initial_state: { buffer: state.slice(0) } }, show);
    const before = Date.now();
    let text = "";
    for (const line of lines) {
        screen = "";
        type(machine, `${line}\n`);
        await prompt();
        // Without colours, as a snapshot has none.
        const shown = screen.replaceAll(/\x1b\[[0-9;]*m/g, "").replaceAll("\r\n", "\n").replaceAll("\r", "").replace(PROMPT, "\n");
        if (!shown.startsWith(`${line}\n`)) {
            throw new Error(`${name}: typed ${JSON.stringify(line)}, but the screen shows ${JSON.stringify(screen)}`);
        }
        text += `$ ${line}\n${shown.slice(line.length + 1)}`;
    }
    await machine.destroy();
    results.push({ name, text, seconds: (Date.now() - before) / 1000 });
}
console.log(JSON.stringify(results));
process.exit(0);
