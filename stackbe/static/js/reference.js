/* Draws the API's description. */
(() => {
  "use strict";

  const place = document.getElementById("reference");
  if (window.matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark-mode");
  window.SwaggerUIBundle({
    url: place.dataset.url,
    domNode: place,
    deepLinking: true,
    defaultModelsExpandDepth: -1,
    docExpansion: "list",
    supportedSubmitMethods: [],
    validatorUrl: null,
  });
})();
