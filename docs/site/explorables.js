/* Swaps what the figures of explorables.py show. All numbers and sentences are in the page already. */
"use strict";

for (const figure of document.querySelectorAll("figure.explorable")) {
    figure.classList.add("live"); // the lists and buttons appear
    if (figure.querySelector("script")) explore(figure);
    if (figure.querySelector(".shot")) leaf(figure);
    for (const claim of figure.querySelectorAll("li[data-right]")) judge(claim);
}

function explore(figure) {
    const { states, pictures, order } = JSON.parse(figure.querySelector("script").textContent);
    const cells = new Map([...figure.querySelectorAll("[data-cell]")].map(cell => [cell.dataset.cell, cell]));
    const lists = [...figure.querySelectorAll("select")];
    const axes = lists.filter(list => /^\d$/.test(list.name)); // these choose the cell, the others the state
    const says = figure.querySelector(".says");
    let selected = figure.querySelector(".selected").dataset.cell;

    function put(values) {
        for (const [name, value] of Object.entries(values)) {
            const cell = cells.get(name);
            if (cell.tagName === "IMG") {
                cell.src = pictures[value];
                cell.closest(".panel").hidden = !value;
            } else cell.querySelector("b").textContent = value;
        }
    }

    function show(name) {
        const state = states[lists.filter(list => !axes.includes(list)).map(list => list.value).join(" ")];
        const entry = state.cells[name];
        const chosen = typeof entry === "string" ? state.cells[entry] : entry;
        selected = name;
        put(state.put);
        put(chosen.put ?? {});
        for (const [other, cell] of cells) {
            if (cell.tagName === "IMG") continue;
            cell.classList.toggle("selected", other === name);
            cell.classList.toggle("marked", other in chosen.marks);
            cell.classList.toggle("wrong", state.wrong?.includes(other) ?? false);
            cell.querySelector("small").textContent = chosen.marks[other] ?? "";
            if (cell.tagName === "BUTTON") cell.tabIndex = other === name ? 0 : -1;
        }
        for (const list of axes) list.value = name.split(":")[list.name];
        says.textContent = chosen.says;
    }

    for (const list of lists)
        list.addEventListener("change", () => {
            if (axes.includes(list)) selected = ["G", ...axes.map(axis => axis.value)].join(":");
            show(selected);
        });
    for (const button of figure.querySelectorAll("[data-step]"))
        button.addEventListener("click", () => {
            const next = order[order.indexOf(selected) + +button.dataset.step];
            if (next) show(next);
        });
    for (const [name, cell] of cells) {
        if (cell.tagName !== "BUTTON") continue;
        for (const event of ["pointerenter", "focus", "click"]) cell.addEventListener(event, () => show(name));
        cell.addEventListener("keydown", event => move(event, name));
    }

    /* The arrow keys go from cell to cell, and past the edge of one panel into the next. */
    function move(event, name) {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (!step) return;
        event.preventDefault();
        const [panel, row, column] = name.split(":");
        const next = cells.get([panel, +row + step[0], +column + step[1]].join(":"));
        if (next?.tagName === "BUTTON") return next.focus();
        const buttons = [...cells.values()].filter(cell => cell.tagName === "BUTTON");
        const panels = [...new Set(buttons.map(cell => cell.dataset.cell.split(":")[0]))];
        const neighbor = panels[panels.indexOf(panel) + step[0] + step[1]];
        buttons.find(cell => cell.dataset.cell.startsWith(neighbor + ":"))?.focus();
    }

    show(selected);
}

function judge(claim) {
    const answer = claim.querySelector("details");
    answer.hidden = true;
    for (const button of claim.querySelectorAll("button"))
        button.addEventListener("click", () => {
            const right = button.value === claim.dataset.right;
            claim.querySelector(".judged").textContent = right ? "You are right." : "No.";
            answer.hidden = false;
            answer.open = true;
        });
}

/* Shows the picture that the sliders select, of those that painted.py put into the page. */
function leaf(figure) {
    const shots = [...figure.querySelectorAll(".shot")];
    const marks = [...figure.querySelectorAll(".mark")];
    const sliders = [...figure.querySelectorAll("input")];
    const says = figure.querySelector(".says");
    const selected = () => shots.findIndex(shot => shot.dataset.key === sliders.map(slider => slider.value).join(" "));

    function show(moved) {
        // All go with the first slider; of the others, one at a time is not at its default.
        if (selected() < 0) for (const other of sliders.slice(1)) if (other !== moved) other.value = other.defaultValue;
        for (const slider of sliders) {
            const value = slider.dataset.values.split("|")[slider.value];
            slider.nextElementSibling.textContent = value;
            slider.setAttribute("aria-valuetext", value);
        }
        for (const all of [shots, marks]) all.forEach((each, k) => each.classList.toggle("shown", k === selected()));
        says.textContent = shots[selected()].dataset.says;
    }

    for (const slider of sliders) slider.addEventListener("input", () => show(slider));
    const play = figure.querySelector(".play");
    if (play) film(play, sliders[0], show);
}

/* Moves a slider to its end. */
function film(play, slider, show) {
    let timer = 0;

    function stop() {
        timer = clearInterval(timer);
        play.textContent = "Play";
    }

    play.addEventListener("click", () => {
        if (timer) return stop();
        if (slider.value === slider.max) slider.value = 0;
        play.textContent = "Stop";
        timer = setInterval(() => {
            slider.stepUp();
            show(slider);
            if (slider.value === slider.max) stop();
        }, 500);
    });
    slider.addEventListener("input", stop);
}
