// Pages are whole without this script. It replaces a page's main part when the server sends it again, copies command
// lines, and narrows tables down to what is typed.
"use strict";
(() => {
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  let waiting = null;

  const busy = () => {
    const at = document.activeElement;
    return main.contains(at) && at.matches("input, textarea, select");
  };

  // What counts as a change of a row: its mark, if it has one, as figures in it change all the time.
  const mark = (one) => one.dataset.mark ?? one.textContent;
  const rows = () => new Map([...main.querySelectorAll("[data-key]")].map((one) => [one.dataset.key, mark(one)]));

  const show = (text) => {
    const before = rows();
    const at = document.activeElement && document.activeElement.id;
    const place = [...main.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    main.innerHTML = text;
    for (const one of main.querySelectorAll("[data-key]")) {
      if (before.size && before.get(one.dataset.key) !== mark(one)) one.classList.add("changed");
    }
    main.querySelectorAll(".scroll").forEach((one, number) => { one.scrollLeft = place[number] || 0; });
    if (at && document.getElementById(at)) document.getElementById(at).focus({ preventScroll: true });
    main.querySelectorAll("input[data-filter]").forEach(narrow);
  };

  const narrow = (input) => {
    const wanted = input.value.toLowerCase();
    for (const row of document.getElementById(input.dataset.filter).tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  };

  document.addEventListener("input", (event) => {
    if (event.target.matches("input[data-filter]")) narrow(event.target);
  });

  // What is being typed is not taken away: the newest page is shown when the field is left.
  document.addEventListener("focusout", () => setTimeout(() => {
    if (waiting !== null && !busy()) { show(waiting); waiting = null; }
  }));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    navigator.clipboard.writeText(button.dataset.copy).then(
      () => { button.textContent = "Copied"; },
      () => { button.textContent = "Not copied"; },
    );
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  if (!main.hasAttribute("data-live")) return;
  // A browser has six connections to one host, for all of its tabs: only a page that is looked at keeps one.
  let source = null;

  const follow = () => {
    source = new EventSource("/stream" + location.pathname + location.search);
    source.addEventListener("page", (event) => {
      const text = JSON.parse(event.data);
      if (busy()) waiting = text; else show(text);
    });
    source.onopen = () => { live.textContent = "Live"; };
    source.onerror = () => {
      live.textContent = source.readyState === EventSource.CLOSED
        ? "Not live: the dashboard refuses. Reload the page to try again."
        : "Not live: the dashboard does not answer. Trying again.";
    };
  };

  const turn = () => {
    if (document.hidden && source !== null) {
      source.close();
      source = null;
      live.textContent = "Not live while nobody looks";
    } else if (!document.hidden && source === null) {
      follow();
    }
  };

  document.addEventListener("visibilitychange", turn);
  turn();
})();
