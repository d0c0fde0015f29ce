/* What a page gains when scripts run. Without them everything here still works, only plainer. */
(() => {
  "use strict";

  document.documentElement.classList.add("has-script");

  const say = (text) => {
    const region = document.getElementById("announcer");
    if (region) region.textContent = text;
  };

  // Copy buttons: data-copy holds the text, or data-copy-from names the element that does.
  const copy = async (button) => {
    const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    const text = source ? source.textContent.trim() : button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      say("Copying was refused by the browser. Select the text instead.");
      return;
    }
    button.classList.add("is-done");
    say("Copied");
    window.setTimeout(() => button.classList.remove("is-done"), 1600);
  };

  // Dialogs are popovers until a script can make them modal.
  const prepareDialogs = (root) => {
    for (const dialog of root.querySelectorAll("dialog[popover]")) dialog.removeAttribute("popover");
  };

  const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [14, "day"]];

  // Times are written out by the server; near ones read better as a distance from now.
  const humanise = (root) => {
    for (const element of root.querySelectorAll("time[data-relative]")) {
      let distance = (new Date(element.dateTime) - Date.now()) / 1000;
      let text = "";
      for (const [size, unit] of steps) {
        if (Math.abs(distance) < size) {
          text = relative.format(Math.round(distance), unit);
          break;
        }
        distance /= size;
      }
      if (!text) continue;
      element.title = element.title || element.textContent.trim();
      element.textContent = text;
    }
  };

  // Code in rendered documents gets the copy button that templates cannot add.
  const addCopyButtons = (root) => {
    const model = document.getElementById("copy-button");
    if (!model) return;
    for (const block of root.querySelectorAll(".prose pre")) {
      const frame = document.createElement("div");
      frame.className = "code has-corner";
      block.replaceWith(frame);
      const button = model.content.firstElementChild.cloneNode(true);
      button.dataset.copy = block.textContent.trim();
      frame.append(block, button);
    }
  };

  const prepare = (root) => {
    prepareDialogs(root);
    humanise(root);
    addCopyButtons(root);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches("[data-copy], [data-copy-from]")) copy(button);
    if (button.matches("[data-close]")) button.closest("dialog")?.close();
    const dialog = button.dataset.dialog && document.getElementById(button.dataset.dialog);
    if (dialog) {
      event.preventDefault();
      dialog.showModal();
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
  });

  // One click, one submission: the server is idempotent, the person need not know.
  document.addEventListener("submit", (event) => {
    if (event.target.method === "dialog") return;
    for (const button of event.target.querySelectorAll("button[type=submit], button:not([type])")) {
      window.setTimeout(() => { button.disabled = true; });
    }
  });

  // Coming back by the browser's Back button must not show a dead form.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;
  });

  document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
  prepare(document);
})();
