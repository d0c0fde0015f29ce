/* Moves the token of a sign-in link or an invitation from the address into the form, and out of the address.

The token travels in the fragment, which browsers send to nobody: a mail scanner that opens the link
spends nothing, and no log on the way can hold it. */
(() => {
  "use strict";

  const form = document.getElementById("confirm");
  if (!form) return;

  const part = (name) => document.querySelector(`[data-part="${name}"]`);
  const show = (name) => {
    for (const element of document.querySelectorAll("[data-part]")) element.hidden = element.dataset.part !== name;
    const heading = part(name)?.querySelector("h1");
    if (heading) {
      heading.tabIndex = -1;
      heading.focus();
    }
  };

  const fragment = window.location.hash.slice(1);
  const fields = new URLSearchParams(fragment);
  const token = fields.get("token") || (fragment.includes("=") ? "" : fragment);
  if (!token) {
    show("code");
    return;
  }
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  form.elements.token.value = token;

  const label = (address) => {
    const button = form.querySelector("button");
    const words = form.dataset.words || "Sign in";
    button.textContent = address ? `${words} as ${address}` : words;
    button.disabled = false;
  };

  const peek = async () => {
    if (!form.dataset.peek) {
      label("");
      show("link");
      return;
    }
    const body = new FormData(form);
    let reply;
    try {
      reply = await fetch(form.dataset.peek, { method: "POST", body, credentials: "same-origin", redirect: "error" });
    } catch {
      label("");
      show("link");
      return;
    }
    if (!reply.ok) {
      show("dead");
      return;
    }
    const found = await reply.json();
    label(found.email);
    for (const element of document.querySelectorAll("[data-told]")) element.textContent = found[element.dataset.told];
    const other = part("link").querySelector("[data-other-browser]");
    if (other) other.hidden = !found.otherBrowser;
    show("link");
  };

  show("wait");
  peek();
})();
