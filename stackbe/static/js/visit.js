/* Moves the token of a visit from the address into a form, out of the address, and posts it.

The token travels in the fragment, which browsers send to nobody: a scanner that opens the address spends nothing,
and no log on the way can hold it. */
(() => {
  "use strict";

  const form = document.getElementById("visit");
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (!form || !token) return;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  form.elements.token.value = token;
  form.submit();
})();
