/* Searches the sections that search.py took down. A word is found by its stem, at the beginning of words. */
"use strict";

const LETTER = "[\\p{L}\\p{N}]";

function stem(word) {
    const short = word.replace(/(ies|ing|ed|es|s)$/i, "").replace(/(.)\1$/, "$1");
    return (short.length > 2 ? short : word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

const finder = expression => new RegExp(`(?<!${LETTER})(${expression})`, "giu");

/* The sections with all words: the best one of each page, then what the reference describes. */
function search(query) {
    const stems = query.split(/\s+/).filter(Boolean).map(stem);
    const words = stems.map(finder);
    const phrase = finder(stems.join(`${LETTER}*[^\\p{L}\\p{N}]+`));
    const count = (pattern, text) => (text.match(pattern) ?? []).length;
    const best = new Map();
    if (stems.length)
        for (const [address, title, page, text, reference] of sections) {
            if (!words.every(word => count(word, `${title} ${text}`))) continue;
            let score = count(phrase, title) ? 20 : Math.min(count(phrase, text), 10);
            for (const word of words) score += 5 * count(word, title) + 5 * count(word, page) + Math.min(count(word, text), 5);
            const key = reference ? address : page;
            if (!(best.get(key)?.score >= score)) best.set(key, { address, title, page, text, reference, score });
        }
    const found = [...best.values()].sort((a, b) => a.reference - b.reference || b.score - a.score);
    return { found, phrase, any: finder(stems.join("|")) };
}

function show(query) {
    const { found, phrase, any } = search(query);
    document.querySelector("#found").replaceChildren(
        ...found.map(({ address, title, page, text }) => {
            const item = document.createElement("li");
            const link = item.appendChild(document.createElement("a"));
            link.href = address;
            link.textContent = title === page ? title : `${title} (${page})`;
            const at = Math.max(text.search(phrase), 0) || Math.max(text.search(any), 0);
            const from = at < 80 ? 0 : text.lastIndexOf(" ", at - 60) + 1;
            const to = from + 240 < text.length ? text.lastIndexOf(" ", from + 240) : text.length;
            const excerpt = (from ? "… " : "") + text.slice(from, to) + (to < text.length ? " …" : "");
            const shown = item.appendChild(document.createElement("p"));
            excerpt.split(any).forEach((part, i) => shown.append(i % 2 ? mark(part) : part));
            return item;
        }),
    );
    document.querySelector("#count").textContent = query.trim() ? `Found: ${found.length}` : "";
}

function mark(text) {
    const marked = document.createElement("mark");
    marked.textContent = text;
    return marked;
}

const field = document.querySelector("#query");
field.value = new URLSearchParams(location.search).get("q") ?? "";
field.addEventListener("input", () => show(field.value));
show(field.value);
