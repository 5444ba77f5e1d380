// Boots the machine, and saves its state once its shell waits for a command: node boot.mjs TO FROM
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [to, from] = process.argv.slice(2);
const { ask, PROMPT, start } = await import(pathToFileURL(join(to, "machine.mjs")));
const file = name => ({ buffer: new Uint8Array(readFileSync(join(from, name))).buffer });

let screen = "";
let ready;
const waits = new Promise(done => { ready = done; });
const machine = await start({
    // A boot is long.
    disable_jit: false,
    wasm_path: join(to, "v86.wasm"),
    bios: file("bios.bin"),
    vga_bios: file("vgabios-stdvga.bin"),
    bzimage: file("vmlinuz"),
    initrd: file("initrd"),
    // The second line leaves out what takes long in an emulator, and isn't there. The third leaves out the files for tracing the
    // kernel, which take 6 MB of memory.
    cmdline: "console=ttyS0 quiet tsc=reliable mitigations=off random.trust_cpu=on init_on_free=1 " +
        "cryptomgr.notests noisapnp pnpbios=off nomce " +
        "initcall_blacklist=tracer_init_tracefs debugfs=off",
}, text => {
    screen += text;
    if (PROMPT.test(screen)) ready();
});
const limit = setTimeout(() => {
    console.error(`book live: no prompt after half an hour; the machine says:\n${screen}`);
    process.exit(1);
}, 1_800_000);
await waits;
clearTimeout(limit);
// Zeros compress well. The kernel clears what it frees, but not the place where v86 put the initrd, which it copied away.
await ask(machine, "echo 3 >/proc/sys/vm/drop_caches");
await machine.stop();
machine.write_memory(new Uint8Array(16 << 20), 64 << 20);
writeFileSync(join(to, "machine"), new Uint8Array(await machine.save_state()));
process.exit(0);
