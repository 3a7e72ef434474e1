// Keeps marked parts of a page up to date by server-sent events. Everything else on the pages
// works without scripts.
"use strict";

(() => {
  const language = document.documentElement.lang || undefined;

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const here = moment.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
      // "3 min ago" stays, and has the moment on hover.
      if (time.className === "ago") {
        time.title = here;
      } else {
        time.title = time.textContent;
        time.textContent = here;
      }
    }
  }

  // Forms that ask for a time ask for it in the reader's zone.
  function localZone(form) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone) return;
    form.elements.namedItem("zone").value = zone;
    for (const name of form.querySelectorAll("[data-zone]")) name.textContent = zone;
  }

  // Puts new content in place and keeps what the reader is doing: the focus, open folds, and what
  // was typed or chosen.
  function replace(part, html) {
    const open = [...part.querySelectorAll("details[id][open]")].map((fold) => fold.id);
    const fields = [...part.querySelectorAll("input[id]:not([type=hidden]), select[id], textarea[id]")];
    const typed = fields.filter(isTouched).map((field) => [field.id, field.value, field.checked]);
    const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
    const logs = [...part.querySelectorAll("pre[id]")].map((log) => [log.id, log.scrollTop, isAtEnd(log)]);
    part.innerHTML = html;
    localTimes(part);
    // Who reads further up goes on there; who is at the end sees what comes.
    toEnds(part);
    for (const [id, top, atEnd] of logs) {
      const log = document.getElementById(id);
      if (log && !atEnd) log.scrollTop = top;
    }
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

  function isAtEnd(log) {
    return log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  }

  function toEnds(root) {
    for (const log of root.querySelectorAll("pre[data-end]")) log.scrollTop = log.scrollHeight;
  }

  // The tab's title tells how far a start is; who asked for it is told when there is news and the
  // page is out of sight. Browsers that cannot, or may not, leave it at the title.
  const bell = document.getElementById("tell");
  const WISH = "berth-tell";
  const usual = document.title;
  // What was told last, so that a page that is loaded anew does not tell it again.
  const TOLD = "berth-told";
  let wanted = false;

  function announce(part) {
    const news = part.querySelector("[data-title]");
    document.title = news ? `${news.dataset.title} · Berth` : usual;
    const text = news?.dataset.tell;
    if (text && text !== sessionStorage.getItem(TOLD)) tell(text);
    if (text) sessionStorage.setItem(TOLD, text);
    else sessionStorage.removeItem(TOLD);
  }

  function tell(text) {
    document.title = `${text} · Berth`;
    if (!wanted || !document.hidden) return;
    try {
      new Notification(text, { tag: window.location.pathname });
    } catch (error) {
      // Phones have no such constructor.
    }
  }

  function offer() {
    if (!("Notification" in window)) return;
    const granted = () => Notification.permission === "granted";
    // It was asked for in this tab: on this page before it was loaded anew, or on another one.
    wanted = granted() && sessionStorage.getItem(WISH) !== null;
    if (!bell) return;
    const show = () => {
      wanted = granted();
      bell.textContent = wanted ? bell.dataset.granted : bell.dataset.denied;
      bell.disabled = true;
      if (wanted) sessionStorage.setItem(WISH, "yes");
    };
    bell.hidden = Notification.permission === "denied";
    bell.addEventListener("click", () => Notification.requestPermission().then(show));
    if (wanted) show();
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
      if (all.get("memory") === "own") all.set("memory", `${all.get("own")}G`);
      for (const name of ["_xsrf", "next", "name", "own"]) all.delete(name);
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
        localTimes(verdict);
        verdict.className = `verdict ${answer.headers.get("x-berth-verdict") ?? ""}`;
      } catch (error) {
        // Another choice came meanwhile, or the hub is away: what is shown stays.
      }
    };
    form.addEventListener("change", (event) => {
      if (event.target.type === "radio") ask();
    });
    slider(form, ask);
  }

  // Beside the number of GB: a slider that says the same, and chooses what it says.
  function slider(form, ask) {
    const range = form.querySelector("input[type=range]");
    const number = form.querySelector("input[name=own]");
    const own = form.querySelector("input[name=memory][value=own]");
    if (!range || !number || !own) return;
    let soon;
    range.hidden = false;
    const follow = (moved, other) => {
      moved.addEventListener("input", () => {
        other.value = moved.value;
        own.checked = true;
        window.clearTimeout(soon);
        if (number.validity.valid && number.value) soon = window.setTimeout(ask, 200);
      });
    };
    follow(range, number);
    follow(number, range);
  }

  function follow(part) {
    const spoken = document.getElementById("live-spoken");
    // A stream begins with the present state: after a break it is often what is shown already.
    let shown;
    // A log is followed only while it is seen, and stands still while somebody marks a part of it.
    const whileSeen = part.hasAttribute("data-while-seen");
    let later;
    const marked = () => {
      const selection = document.getSelection();
      return whileSeen && selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    };

    const put = (html) => {
      later = marked() ? html : undefined;
      if (later === undefined) replace(part, html);
    };

    const stream = window.berth.listen(part.dataset.live, {
      part: (event) => {
        if (event.data !== shown) put(event.data);
        shown = event.data;
        if (!whileSeen) announce(part);
      },
      // Screen readers hear one sentence a change, not the whole part.
      said: (event) => {
        if (spoken && spoken.textContent !== event.data) spoken.textContent = event.data;
      },
      ready: () => {
        stream.close();
        if (part.dataset.told) tell(part.dataset.told);
        if (part.dataset.ready && !window.berth.isLeaving()) window.location.assign(part.dataset.ready);
      },
      gone: () => {
        stream.close();
        if (!window.berth.isLeaving()) window.location.reload();
      },
    }, () => !whileSeen || !document.hidden);

    if (whileSeen) {
      document.addEventListener("visibilitychange", stream.connect);
      document.addEventListener("selectionchange", () => {
        if (later !== undefined && !marked()) put(later);
      });
    }
  }

  localTimes(document);
  toEnds(document);
  for (const form of document.querySelectorAll("form:has([data-zone])")) localZone(form);
  offer();
  for (const form of document.querySelectorAll("form[data-forecast]")) forecast(form);
  for (const link of document.querySelectorAll(".refresh")) link.hidden = true;
  for (const part of document.querySelectorAll("[data-live]")) follow(part);
})();
