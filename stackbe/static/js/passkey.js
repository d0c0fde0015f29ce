/* Asks an authenticator and puts its answer into the form around the button. Without scripts a code does it. */
(() => {
  "use strict";

  const place = document.querySelector("[data-passkey]");
  const told = document.getElementById("passkey-options");
  if (!place || !told || !window.PublicKeyCredential) return;
  const options = JSON.parse(told.textContent);
  const field = place.querySelector("input");
  const said = place.querySelector("[data-passkey-said]");
  const isNew = Boolean(options.rp);

  const bytes = (text) => {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
  };
  const text = (buffer) => {
    const plain = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  const request = () => {
    const wanted = { ...options, challenge: bytes(options.challenge) };
    if (isNew) {
      wanted.user = { ...options.user, id: bytes(options.user.id) };
      wanted.excludeCredentials = named(options.excludeCredentials);
      return navigator.credentials.create({ publicKey: wanted });
    }
    wanted.allowCredentials = named(options.allowCredentials);
    return navigator.credentials.get({ publicKey: wanted });
  };

  const spelt = (made) => {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    if (isNew) {
      response.attestationObject = text(made.response.attestationObject);
    } else {
      response.authenticatorData = text(made.response.authenticatorData);
      response.signature = text(made.response.signature);
      response.userHandle = made.response.userHandle ? text(made.response.userHandle) : null;
    }
    return JSON.stringify({
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      clientExtensionResults: made.getClientExtensionResults(),
      response,
    });
  };

  place.hidden = false;
  place.querySelector("[data-passkey-ask]").addEventListener("click", async () => {
    const form = field.form;
    for (const other of form.querySelectorAll("[data-needed-with-passkey]")) {
      if (!other.reportValidity()) return;
    }
    said.textContent = "Waiting for your passkey…";
    try {
      field.value = spelt(await request());
    } catch (refused) {
      said.textContent = refused.name === "InvalidStateError"
        ? "This authenticator holds a passkey of yours already."
        : "No passkey was given. Try again, or type a code.";
      return;
    }
    said.textContent = "";
    form.submit();
  });
})();
