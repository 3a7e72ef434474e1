// Streams of server-sent events that outlive their connections, and what a page says of that. The
// hub ends each stream after some minutes and the browser opens the next one by itself: nobody need
// hear of it. Only when an attempt has failed, or some seconds have passed, is it said.
"use strict";

window.berth = (() => {
  // Where the browser gives up (the proxy said "hub is restarting"), we try again, a little slower
  // each time.
  const FIRST_WAIT_MS = 1000;
  const LONGEST_WAIT_MS = 15000;
  const QUIET_MS = 5000;
  const note = document.getElementById("live-lost");
  const lost = new Set();
  let streams = 0;
  // A pressed button already leads somewhere: news that arrive meanwhile must not lead elsewhere.
  let leaving = false;
  window.addEventListener("beforeunload", () => { leaving = true; });
  // A page taken back from the browser's memory may be hours old.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && streams > 0) window.location.reload();
  });

  function say() {
    const text = lost.size > 0 ? note?.dataset.lost ?? "" : "";
    if (note && note.textContent !== text) note.textContent = text;
  }

  // Follows a stream; `on` has what to do with each kind of event. While it is not wanted there is
  // none: `connect` looks again.
  function listen(url, on, isWanted = () => true) {
    streams += 1;
    const self = {};
    let wait = FIRST_WAIT_MS;
    let broken = false;
    let source;
    let quiet;

    const settle = () => {
      window.clearTimeout(quiet);
      broken = false;
      lost.delete(self);
      say();
    };

    const miss = () => {
      if (leaving) return;
      lost.add(self);
      say();
    };

    self.close = () => {
      source?.close();
      settle();
    };

    self.connect = () => {
      source?.close();
      if (!isWanted()) {
        settle();
        return;
      }
      source = new EventSource(url);
      source.onopen = () => {
        wait = FIRST_WAIT_MS;
        settle();
      };
      for (const [kind, act] of Object.entries(on)) source.addEventListener(kind, act);
      source.onerror = () => {
        if (leaving) return;
        const refused = source.readyState === EventSource.CLOSED;
        // The first error is the end of what was open; each further one is an attempt that failed.
        if (broken || refused) miss();
        else quiet = window.setTimeout(miss, QUIET_MS);
        broken = true;
        if (!refused) return;
        window.setTimeout(self.connect, wait);
        wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      };
    };

    window.addEventListener("pagehide", () => source?.close());
    self.connect();
    return self;
  }

  return { listen, isLeaving: () => leaving };
})();
