// Shows the essential program in one language at a time, and remembers which. Without this script, the languages other than Rust
// are folded.
(() => {
    "use strict";

    const KEY = "mini-docker-language";
    const groups = [...document.querySelectorAll(".languages")];

    const choose = language => {
        for (const group of groups) {
            const parts = [...group.querySelectorAll(":scope > [data-language]")];
            const shown = parts.some(part => part.dataset.language === language) ? language : "Rust";
            for (const part of parts) {
                part.hidden = part.dataset.language !== shown;
                part.open = true;
            }
            for (const button of group.querySelectorAll(".choice button")) {
                button.setAttribute("aria-pressed", String(button.textContent === shown));
            }
        }
    };

    for (const group of groups) {
        const choice = document.createElement("div");
        choice.className = "choice";
        choice.setAttribute("role", "group");
        choice.setAttribute("aria-label", "Language");
        for (const part of group.querySelectorAll(":scope > [data-language]")) {
            const button = document.createElement("button");
            button.type = "button";
            button.textContent = part.dataset.language;
            button.addEventListener("click", () => {
                choose(part.dataset.language);
                try {
                    localStorage.setItem(KEY, part.dataset.language);
                } catch {
                    // The browser keeps nothing, so the choice is for this page.
                }
            });
            choice.append(button);
        }
        group.prepend(choice);
        group.classList.add("chosen");
    }

    let remembered = null;
    try {
        remembered = localStorage.getItem(KEY);
    } catch {
        // As above.
    }
    choose(remembered ?? "Rust");
})();
