// Keys, filtering, unfolding and words on lines. Everything else works without this file.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  const help = $("#help");
  for (const button of $$("[data-help]")) button.addEventListener("click", () => help.showModal());

  // The list: filter while typing, choose a row with the keyboard.
  const search = $("#q");
  const rows = $$(".row");
  const shown = () => rows.filter((row) => !row.hidden);
  let chosen = null;
  const choose = (row) => {
    if (chosen) chosen.classList.remove("chosen");
    chosen = row || null;
    if (chosen) {
      chosen.classList.add("chosen");
      $("a", chosen).focus({ preventScroll: true });
      chosen.scrollIntoView({ block: "nearest" });
    }
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !words.every((word) => (row.dataset.text || "").includes(word));
    }
    const empty = $(".js-empty");
    if (empty) empty.hidden = shown().length > 0;
    if (chosen && chosen.hidden) choose(null);
  };
  if (search) search.addEventListener("input", filter);
  for (const select of $$(".filters select")) select.addEventListener("change", () => select.form.submit());

  // A diff: unfold, and say words on a line. The words belong to the review's form, wherever they stand.
  const unfold = (button) => {
    const block = document.getElementById(button.getAttribute("aria-controls"));
    const open = block.classList.toggle("shown");
    button.setAttribute("aria-expanded", String(open));
  };
  for (const button of $$(".unfold")) button.addEventListener("click", () => unfold(button));

  const count = () => {
    const hint = $("#line-count");
    const number = $$(".draft textarea").filter((area) => area.value.trim()).length;
    if (!hint) return;
    hint.hidden = number === 0;
    hint.textContent = `With ${number} ${number === 1 ? "remark" : "remarks"} on lines.`;
  };
  const draftAt = (button) => {
    const { side, line, path } = button.dataset;
    const row = button.closest("tr");
    const id = `draft-${side}-${line}-${path}`;
    const known = document.getElementById(id);
    if (known) { known.focus(); return; }
    const draft = document.createElement("tr");
    draft.className = "words";
    const cell = document.createElement("td");
    cell.colSpan = 4;
    const box = document.createElement("div");
    box.className = "draft";
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = `Words on ${side === "LEFT" ? "old " : ""}line ${line}`;
    const area = document.createElement("textarea");
    area.id = id;
    area.name = `remark:${side}:${line}:${path}`;
    area.rows = 2;
    area.setAttribute("form", "review");
    area.addEventListener("input", count);
    const drop = document.createElement("button");
    drop.type = "button";
    drop.className = "quiet";
    drop.textContent = "Drop";
    drop.addEventListener("click", () => { draft.remove(); count(); button.focus(); });
    const note = document.createElement("span");
    note.className = "hint";
    note.textContent = "Sent with your review.";
    box.append(label, area, drop, note);
    cell.append(box);
    draft.append(cell);
    row.after(draft);
    area.focus();
  };
  if ($("#review")) for (const button of $$(".line")) button.addEventListener("click", () => draftAt(button));

  // Nothing is sent twice by a double click.
  for (const form of $$("form[method=post]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
    });
  }
  window.addEventListener("pageshow", () => { for (const form of $$("form")) delete form.dataset.sent; });

  // Which section is in sight.
  const links = $$(".sections a");
  if (links.length && "IntersectionObserver" in window) {
    const watch = new IntersectionObserver((seen) => {
      for (const entry of seen) {
        const link = links.find((a) => a.hash === `#${entry.target.id}`);
        if (link && entry.isIntersecting) for (const a of links) a.classList.toggle("here", a === link);
      }
    }, { rootMargin: "-20% 0px -70% 0px" });
    const beside = matchMedia("(min-width: 1021px)").matches; // then #decide is always in sight
    for (const link of links) {
      const target = $(link.hash);
      if (target && !(beside && link.hash === "#decide")) watch.observe(target);
    }
  }

  // Keys.
  const changes = $$("tr.changed, tr.added, tr.removed").filter((row) => {
    const before = row.previousElementSibling;
    return !before || before.classList.contains("same") || before.classList.contains("words");
  });
  let change = -1;
  const step = (by) => {
    if (rows.length) {
      const list = shown();
      const at = list.indexOf(chosen);
      choose(list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + by))]);
    } else if (changes.length) {
      change = Math.max(0, Math.min(changes.length - 1, change + by));
      changes[change].scrollIntoView({ block: "center" });
      const line = $(".line", changes[change]);
      if (line) line.focus({ preventScroll: true });
    }
  };
  const go = (where) => { if (where) { where.scrollIntoView(); where.focus({ preventScroll: true }); } };
  let before = "";
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && field) { field.blur(); return; }
    if (field || event.ctrlKey || event.metaKey || event.altKey || (help && help.open)) return;
    const key = event.key;
    const last = before;
    before = key;
    if (last === "g" && key === "p") { location.href = "/"; return; }
    if (last === "g" && key === "s") { location.href = "/statistics"; return; }
    if (key === "?" && help) help.showModal();
    else if (key === "/" && search) { search.focus(); search.select(); }
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (key === "e") for (const button of $$(".unfold[aria-expanded=false]")) unfold(button);
    else if (key === "r" && $("#words")) { $("#words").scrollIntoView({ block: "center" }); $("#words").focus(); }
    else if (/^[1-5]$/.test(key) && links[Number(key) - 1]) go($(links[Number(key) - 1].hash));
    else return;
    event.preventDefault();
  });
})();
