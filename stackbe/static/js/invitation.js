/* Moves an invitation's token from the address into the form, and says what the invitation offers.

The token travels in the fragment, which browsers send to nobody. Without scripts one signs in instead. */
(() => {
  "use strict";

  const form = document.getElementById("invitation");
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (!form || !token) return;

  const show = (name) => {
    for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== name;
    const heading = document.querySelector(`[data-part="${name}"] h1`);
    heading.tabIndex = -1;
    heading.focus();
  };

  window.history.replaceState(null, "", window.location.pathname);
  form.elements.token.value = token;
  show("wait");

  const read = async () => {
    let reply;
    try {
      reply = await fetch(form.dataset.peek, {
        method: "POST", body: new FormData(form), credentials: "same-origin", redirect: "error",
      });
    } catch {
      show("dead");
      return;
    }
    if (!reply.ok) {
      show("dead");
      return;
    }
    const told = await reply.json();
    for (const place of form.closest("section").querySelectorAll("[data-told]")) {
      place.textContent = told[place.dataset.told];
    }
    const button = form.querySelector("button");
    button.textContent = `Join as ${told.email}`;
    button.disabled = false;
    show("link");
  };

  read();
})();
