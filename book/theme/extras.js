// What this book adds to mdBook: a button that copies what is typed, and what keyboards and screen readers miss in 0.5.4.
// The book reads well without it.
(() => {
    "use strict";

    const copy = async text => {
        if (navigator.clipboard) {
            return navigator.clipboard.writeText(text);
        }
        // A page that came over plain HTTP has no clipboard.
        const area = document.createElement("textarea");
        area.value = text;
        area.style.position = "fixed";
        document.body.append(area);
        area.select();
        const copied = document.execCommand("copy");
        area.remove();
        if (!copied) {
            throw new Error("the browser does not allow it");
        }
    };

    for (const box of document.querySelectorAll(".terminal-box")) {
        const typed = [...box.querySelectorAll(".typed")].map(line => line.textContent);
        const button = document.createElement("button");
        button.type = "button";
        button.className = "copy-typed";
        button.textContent = "Copy";
        button.setAttribute("aria-label", typed.length === 1 ? "Copy the command" : "Copy the commands");
        const status = document.createElement("span");
        status.className = "sr-only";
        status.setAttribute("role", "status");
        status.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
        button.addEventListener("click", async () => {
            let result = "Copied";
            try {
                await copy(typed.join("\n"));
            } catch {
                result = "Not copied";
            }
            button.textContent = result;
            status.textContent = result;
            setTimeout(() => {
                button.textContent = "Copy";
                status.textContent = "";
            }, 1500);
        });
        box.classList.add("has-copy");
        box.append(button, status);
    }

    // Keys that belong to what is focused: mdBook turns the page at arrow left and right, which here scroll.
    for (const pre of document.querySelectorAll("pre[tabindex]")) {
        pre.addEventListener("keydown", event => {
            if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
                event.stopPropagation();
            }
        });
    }

    // Each line of code an element, so that a line too long for the screen goes on below, further in than it began. What colours
    // code may span lines; then its element is closed at the end of one and opened again in the next.
    for (const code of document.querySelectorAll("main pre > code")) {
        let open = [];
        const lines = code.innerHTML.replace(/\n$/, "").split("\n").map(html => {
            const before = open.join("");
            for (const [tag] of html.matchAll(/<[^>]*>/g)) {
                open = tag.startsWith("</") ? open.slice(0, -1) : [...open, tag];
            }
            return `<span class="line">${before}${html}${"</span>".repeat(open.length)}\n</span>`;
        });
        code.innerHTML = lines.join("");
        code.classList.add("has-lines");
    }
    for (const line of document.querySelectorAll(".has-lines > .line, pre.diff > *")) {
        const blank = /^([-+ ]? *)(.*)$/s.exec(line.innerHTML);
        line.style.setProperty("--in", `${blank[1].length}ch`);
        line.innerHTML = `<span class="indent">${blank[1]}</span>${blank[2]}`;
    }

    // On a small screen a wide table is set as a list, in which each cell says what column it is of: see book.css.
    for (const table of document.querySelectorAll(".table-wrapper > table")) {
        const names = [...table.querySelectorAll("thead th")].map(cell => cell.textContent);
        table.classList.toggle("wide", names.length > 2);
        for (const cell of table.querySelectorAll("tbody td")) {
            cell.dataset.column = names[cell.cellIndex];
        }
    }

    // What scrolls sideways must be reachable by keyboard.
    const scrollable = () => {
        for (const box of document.querySelectorAll(".table-wrapper, pre > code")) {
            box.classList.remove("tight");
            box.classList.toggle("tight", box.scrollWidth > box.clientWidth);
            if (box.scrollWidth > box.clientWidth) {
                box.tabIndex = 0;
            } else {
                box.removeAttribute("tabindex");
            }
        }
    };
    scrollable();
    addEventListener("resize", scrollable);

    // The sidebar's toggle is a label, which no keyboard reaches: make it the button it looks like.
    const toggle = document.getElementById("mdbook-sidebar-toggle");
    if (toggle) {
        toggle.setAttribute("role", "button");
        toggle.tabIndex = 0;
        toggle.addEventListener("keydown", event => {
            if (event.key === "Enter" || event.key === " ") {
                event.preventDefault();
                toggle.click();
            }
        });
    }

    // A second first-level heading above each chapter's own: the book's title in the bar is none of the page's outline.
    document.querySelector("h1.menu-title")?.setAttribute("role", "presentation");

    // Names for what has none.
    document.getElementById("mdbook-searchbar")?.setAttribute("aria-label", "Search this book");
    document.getElementById("mdbook-searchbar")?.setAttribute("aria-describedby", "mdbook-searchresults-header");
    const pages = document.querySelectorAll("nav[aria-label='Page navigation']");
    pages.forEach((nav, index) => nav.setAttribute("aria-label", index ? "Chapters before and after" : "Page navigation"));

    const help = document.getElementById("mdbook-help-popup");
    if (help) {
        help.setAttribute("role", "dialog");
        help.setAttribute("aria-label", "Keyboard shortcuts");
    }
})();
