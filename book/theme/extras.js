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

    // The buttons of a terminal stand in one row: see book.css.
    for (const box of document.querySelectorAll(".terminal-box")) {
        const typed = [...box.querySelectorAll(".typed")].map(line => line.textContent);
        const row = document.createElement("div");
        row.className = "terminal-buttons";
        const button = document.createElement("button");
        button.type = "button";
        button.className = "copy-typed";
        button.textContent = "Copy";
        button.setAttribute("aria-label", typed.length === 1 ? "Copy the command" : "Copy the commands");
        const status = document.createElement("span");
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
        row.append(button, status);
        box.prepend(row);
    }

    // Keys that belong to what is focused: mdBook turns the page at arrow left and right.
    document.querySelector("main")?.addEventListener("keydown", event => {
        if (event.key.startsWith("Arrow") && event.target.closest("pre, .table-wrapper")) {
            event.stopPropagation();
        }
    });

    // CSS can't keep a word with hyphens together, or break flags only between them.
    for (const code of document.querySelectorAll("main :not(pre) > code")) {
        // Where the search has marked a word, its element would be taken for text.
        if (code.querySelector("mark")) continue;
        code.innerHTML = code.innerHTML.replace(/(\S*-\S*)|[|,](?=\w)/g,
            (part, word) => word ? `<span class="word">${part}</span>` : `${part}<wbr>`)
            // The name of a test is as long as a sentence.
            .replace(/\w{31,}/g, name => name.replaceAll("_", "_<wbr>"));
    }

    // The widths of a table's columns depend on what is in them: see book.css.
    for (const cell of document.querySelectorAll(".table-wrapper td")) {
        cell.classList.toggle("short", cell.textContent.length < 22);
        cell.classList.toggle("long", cell.textContent.length > 40);
    }

    // What scrolls sideways must be reachable by keyboard, and fades at its edge: see book.css. What is folded has no size yet.
    const sizes = new ResizeObserver(entries => {
        for (const { target } of entries) {
            const isWide = target.scrollWidth > target.clientWidth;
            target.classList.toggle("wide", isWide);
            target.tabIndex = isWide ? 0 : -1;
        }
    });
    for (const box of document.querySelectorAll(".table-wrapper, pre > code, pre.terminal, pre.diff")) {
        sizes.observe(box);
    }

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
