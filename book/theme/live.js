// Run, next to Copy: types a block's commands in the machine, in a panel at the foot of the page. Nothing is loaded before the first
// press. It is part of a book that was built with the machine.
(() => {
    "use strict";

    // A browser that blocks storage throws. Then nothing is remembered.
    const storage = kind => {
        try {
            return window[kind];
        } catch {
            return { getItem: () => null, setItem() {}, removeItem() {} };
        }
    };
    const local = storage("localStorage");
    const session = storage("sessionStorage");

    const place = new URL("../live/", document.currentScript.src);
    let loading;
    const panel = () => {
        loading ??= import(new URL("panel.mjs", place)).then(module => module.open({ local, session }));
        loading.catch(() => { loading = undefined; });
        return loading;
    };

    const button = (text, label) => {
        const made = document.createElement("button");
        made.type = "button";
        made.textContent = text;
        made.setAttribute("aria-label", label);
        return made;
    };

    // Returns a button that does something with the machine, and the note that says why it couldn't.
    const runs = (label, act) => {
        const run = button("Run", label);
        const note = document.createElement("p");
        note.className = "run-note";
        note.setAttribute("role", "status");
        run.addEventListener("click", async () => {
            if (location.protocol === "file:") {
                note.textContent = "A browser doesn't load the machine from a file. Open the book from a web server: `cargo xtask book serve`.";
                return;
            }
            // A button that is disabled would lose the focus.
            if (run.ariaDisabled === "true") return;
            run.ariaDisabled = "true";
            note.textContent = "";
            try {
                await act(await panel());
            } catch (error) {
                note.textContent = `It didn't run: ${error.message}`;
            }
            run.ariaDisabled = null;
        });
        return [run, note];
    };

    const boxes = document.querySelectorAll(".terminal-box[data-run]");
    for (const box of boxes) {
        const [run, note] = runs("Run the commands in this page", async machine => {
            await machine.run([...box.querySelectorAll(".typed")].map(line => line.textContent), run, box);
        });
        run.className = "run-typed";
        box.querySelector(".terminal-buttons").prepend(run);
        box.after(note);
    }

    // The scratch pad: the script on the page becomes a text to change.
    for (const pad of document.querySelectorAll(".scratch")) {
        const pre = pad.querySelector("pre");
        const first = pre.textContent;
        const text = document.createElement("textarea");
        text.value = local.getItem("live-mine") ?? first;
        text.rows = first.split("\n").length + 4;
        text.spellcheck = false;
        text.setAttribute("aria-label", "mine.sh");
        text.addEventListener("input", () => local.setItem("live-mine", text.value));
        const again = button("Start over", "Start over with the book's script");
        again.addEventListener("click", () => {
            text.value = first;
            local.removeItem("live-mine");
        });
        const [run, note] = runs("Run sh mine.sh ps", async machine => {
            await machine.run(["sh mine.sh ps"], run, run, { name: "mine.sh", text: text.value });
        });
        pre.replaceWith(text);
        pad.append(run, again, note);
    }

    // The panel stays open from page to page.
    if (session.getItem("live-open") && location.protocol !== "file:") {
        panel().catch(() => {});
    }
})();
