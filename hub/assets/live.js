// Keeps marked parts of a page up to date by server-sent events. Everything else on the pages
// works without scripts.
"use strict";

(() => {
  // After a lost connection the browser tries again by itself; where it gives up (the proxy said
  // "hub is restarting"), we do, a little slower each time.
  const FIRST_WAIT_MS = 1000;
  const LONGEST_WAIT_MS = 15000;
  // A pressed button already leads somewhere: news that arrive meanwhile must not lead elsewhere.
  let leaving = false;
  const language = document.documentElement.lang || undefined;
  window.addEventListener("beforeunload", () => { leaving = true; });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.getTime())) {
        time.title = time.textContent;
        time.textContent = moment.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
      }
    }
  }

  // Puts new content in place and keeps what the reader is doing: the focus, open folds, and what
  // was typed or chosen.
  function replace(part, html) {
    const open = [...part.querySelectorAll("details[id][open]")].map((fold) => fold.id);
    const fields = [...part.querySelectorAll("input[id]:not([type=hidden]), select[id], textarea[id]")];
    const typed = fields.filter(isTouched).map((field) => [field.id, field.value, field.checked]);
    const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = html;
    localTimes(part);
    for (const id of open) {
      const fold = document.getElementById(id);
      if (fold) fold.open = true;
    }
    for (const [id, value, checked] of typed) {
      const field = document.getElementById(id);
      if (!field) continue;
      field.value = value;
      if (field.type === "checkbox" || field.type === "radio") field.checked = checked;
    }
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }

  function isTouched(field) {
    if (field.tagName === "SELECT") return [...field.options].some((it) => it.selected !== it.defaultSelected);
    return field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  }

  // The form for a new server: after each change, what would come of it now.
  function forecast(form) {
    let asked;
    const fields = () => {
      const all = new URLSearchParams(new FormData(form));
      for (const name of ["_xsrf", "next", "name"]) all.delete(name);
      return all;
    };
    const ask = async () => {
      asked?.abort();
      asked = new AbortController();
      const link = form.querySelector(".share");
      if (link) link.href = "/hub/spawn?" + [...fields()].map(([key, value]) => `opt-${key}=${encodeURIComponent(value)}`).join("&");
      try {
        const answer = await fetch(`${form.dataset.forecast}?${fields()}`, { signal: asked.signal });
        if (!answer.ok || answer.redirected) return;
        const html = await answer.text();
        const verdict = form.querySelector(".choices input[name=memory]:checked + label + .verdict") ?? form.querySelector(".verdict");
        if (!verdict) return;
        verdict.innerHTML = html;
        verdict.className = `verdict ${answer.headers.get("x-berth-verdict") ?? ""}`;
      } catch (error) {
        // Another choice came meanwhile, or the hub is away: what is shown stays.
      }
    };
    form.addEventListener("change", (event) => {
      if (event.target.type === "radio") ask();
    });
  }

  function follow(part) {
    const url = part.dataset.live;
    const lost = document.getElementById("live-lost");
    const spoken = document.getElementById("live-spoken");
    let wait = FIRST_WAIT_MS;
    let source;
    // A stream begins with the present state: after a break it is often what is shown already.
    let shown;

    const say = (text) => {
      if (lost) lost.textContent = text;
    };

    const connect = () => {
      source = new EventSource(url);
      source.addEventListener("part", (event) => {
        wait = FIRST_WAIT_MS;
        say("");
        if (event.data !== shown) replace(part, event.data);
        shown = event.data;
      });
      // Screen readers hear one sentence a change, not the whole part.
      source.addEventListener("said", (event) => {
        if (spoken && spoken.textContent !== event.data) spoken.textContent = event.data;
      });
      source.addEventListener("ready", () => {
        source.close();
        say("");
        if (part.dataset.ready && !leaving) window.location.assign(part.dataset.ready);
      });
      source.addEventListener("gone", () => {
        source.close();
        if (!leaving) window.location.reload();
      });
      source.onerror = () => {
        if (leaving) return;
        say(lost?.dataset.lost ?? "");
        if (source.readyState === EventSource.CLOSED) {
          window.setTimeout(connect, wait);
          wait = Math.min(wait * 2, LONGEST_WAIT_MS);
        }
      };
    };

    connect();
    window.addEventListener("pagehide", () => source.close());
    // A page taken back from the browser's memory may be hours old.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) window.location.reload();
    });
  }

  localTimes(document);
  for (const form of document.querySelectorAll("form[data-forecast]")) forecast(form);
  for (const link of document.querySelectorAll(".refresh")) link.hidden = true;
  for (const part of document.querySelectorAll("[data-live]")) follow(part);
})();
