// The machine: v86, with a terminal on its first serial line, and its process 1 on the second. The page and Node use this.
import { V86 } from "./libv86.mjs";

// Commands are so short that compiling takes longer than interpreting, several times.
const FIXED = { memory_size: 80 << 20, vga_memory_size: 1 << 20, uart1: true, disable_jit: true, disable_keyboard: true,
    disable_mouse: true, disable_speaker: true, autostart: true };

// What the screen ends with when the shell waits for a command. The shell asks for the cursor's position, and it draws its line again
// when the terminal's width changes.
export const PROMPT = /(?:^|[\r\n])root@host:\S*# (?:\x1b\[(?:6n|J))*$/;
// In milliseconds: a machine that doesn't answer for so long has failed. Other programs may keep the processor busy.
const PATIENCE = 60_000;

// Starts a machine from v86's options: what it boots, or a state. `show` gets what the terminal shows.
export async function start(options, show) {
    const machine = new V86({ ...FIXED, ...options });
    // Text of several bytes is decoded when it is complete.
    const decoder = new TextDecoder();
    machine.add_listener("serial0-output-byte", byte => show(decoder.decode(Uint8Array.of(byte), { stream: true })));
    await new Promise(ready => machine.add_listener("emulator-ready", ready));
    return machine;
}

// Types text as a keyboard does.
export function type(machine, text) {
    for (const byte of new TextEncoder().encode(text)) {
        machine.bus.send("serial0-input", byte);
    }
}

// The number of the last question, so that a late answer isn't taken for another's.
let asked = 0;

// Has process 1 run a line, which no reader sees, and resolves to what that prints.
export function ask(machine, line) {
    asked += 1;
    const end = `\x04${asked}\n`;
    let answer = "";
    return new Promise((done, failed) => {
        const stop = () => {
            clearTimeout(limit);
            machine.remove_listener("serial1-output-byte", listen);
        };
        const limit = setTimeout(() => {
            stop();
            failed(new Error("it doesn't answer"));
        }, PATIENCE);
        const listen = byte => {
            answer += String.fromCharCode(byte);
            if (answer.endsWith(end)) {
                stop();
                done(answer.slice(0, -end.length));
            }
        };
        machine.add_listener("serial1-output-byte", listen);
        for (const byte of new TextEncoder().encode(`${line}; printf '\\004${asked}\\n'\n`)) {
            machine.bus.send("serial1-input", byte);
        }
    });
}
