// The Floor while it is open: hosts that changed are put in place, the side panel follows the
// pointer, the slider says what it means. Without scripts the same is had by links and a button.
"use strict";

(() => {
  const floor = document.getElementById("fl-floor");
  const panel = document.getElementById("panel");
  if (!floor || !panel) return;
  // A pointer that only passes by asks nothing.
  const REST_MS = 120;

  /* What changes ------------------------------------------------------------------------------- */

  function put(element, html) {
    const focus = element.contains(document.activeElement) ? document.activeElement.id : "";
    element.innerHTML = html;
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }

  function follow(url) {
    const stream = window.berth.listen(url, {
      part: (event) => {
        const news = JSON.parse(event.data);
        const totals = document.getElementById("fl-totals");
        if (totals && totals.innerHTML !== news.totals) totals.innerHTML = news.totals;
        for (const [name, html] of Object.entries(news.hosts)) {
          const host = document.getElementById(`h-${name}`);
          if (host) put(host, html);
          panels.delete(name);
        }
        // The panel that is shown tells of the present, too.
        if (wanted === shown && shown in news.hosts) show(shown);
        mark();
      },
      gone: () => {
        stream.close();
        if (!window.berth.isLeaving()) window.location.reload();
      },
    });
  }

  /* The side panel ----------------------------------------------------------------------------- */

  const panels = new Map();
  let shown = new URLSearchParams(window.location.search).get("host") || "";
  let wanted = shown;
  let pointed = -1;
  let resting;

  async function show(name) {
    wanted = name;
    if (!panels.has(name)) {
      const query = new URLSearchParams({ by: floor.dataset.by });
      if (floor.dataset.at) query.set("at", floor.dataset.at);
      try {
        const answer = await fetch(`/hub/admin/floor/hosts/${encodeURIComponent(name)}?${query}`);
        if (!answer.ok) return;
        panels.set(name, await answer.text());
      } catch (error) {
        // The hub is away: what is shown stays.
        return;
      }
      // The pointer has gone on meanwhile.
      if (wanted !== name) return;
    }
    shown = name;
    put(panel, panels.get(name));
    mark();
  }

  // Lights up the server under the pointer, on the bar and in the panel, and its owner's others
  // wherever they are.
  function mark() {
    for (const old of document.querySelectorAll("rect.u")) old.remove();
    const rows = [...panel.querySelectorAll("tr[data-from]")];
    const under = rows.find((row) => {
      const from = Number(row.dataset.from);
      return pointed >= from && pointed < from + Number(row.dataset.width);
    });
    const owner = under?.querySelector("a").textContent;
    for (const row of rows) {
      row.classList.toggle("lit", row === under);
      if (under && row.querySelector("a").textContent === owner) {
        light(shown, row.dataset.from, row.dataset.width, row === under);
      }
    }
    for (const other of under?.dataset.others?.split(",") ?? []) light(...other.split(" "), false);
  }

  function light(host, from, width, isPointed) {
    const bar = document.querySelector(`#h-${CSS.escape(host)} svg.h`);
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const looks = { class: isPointed ? "u" : "u also", x: from, y: 2, width, height: 20 };
    for (const [name, value] of Object.entries(looks)) box.setAttribute(name, value);
    bar?.append(box);
  }

  function under(event) {
    const bar = event.target.closest?.("svg.h");
    const host = bar?.closest("li");
    if (!host) return null;
    const box = bar.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * bar.viewBox.baseVal.width;
    return { name: host.id.slice(2), at };
  }

  // What comes of a thought stays in the panel.
  const busy = floor.hasAttribute("data-thought");
  floor.addEventListener("pointermove", (event) => {
    const found = busy ? null : under(event);
    window.clearTimeout(resting);
    if (!found) return;
    pointed = found.at;
    if (found.name === shown) mark();
    else resting = window.setTimeout(() => show(found.name), REST_MS);
  });
  floor.addEventListener("pointerleave", () => {
    window.clearTimeout(resting);
    pointed = -1;
    mark();
  });
  // A click opens the server; on an empty place, the host.
  floor.addEventListener("click", async (event) => {
    const found = under(event);
    if (!found) return;
    if (event.pointerType === "mouse" && found.name === shown) {
      const row = panel.querySelector("tr.lit a");
      if (row) { window.location.assign(row.href); return; }
    }
    document.getElementById(`n-${found.name}`)?.click();
  });

  /* The slider --------------------------------------------------------------------------------- */

  const slider = document.getElementById("back");
  const says = document.getElementById("back-is");
  if (slider && says) {
    slider.addEventListener("input", () => {
      const minutes = Number(slider.value);
      const moment = new Date(Date.now() - minutes * 60000);
      says.textContent = minutes === 0 ? slider.dataset.now :
        moment.toLocaleString(document.documentElement.lang, { weekday: "short", hour: "2-digit", minute: "2-digit" });
    });
    slider.addEventListener("change", () => slider.form.requestSubmit());
  }

  if (floor.dataset.floor) follow(floor.dataset.floor);
})();
