/* Looks at a page as a reader of screens, a person with weak eyes or a thumb would; returns what is wrong. */
() => {
  const faults = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const words = (element) => (element.textContent || "").replace(/\s+/g, " ").trim();
  const short = (element) => `${element.tagName.toLowerCase()} "${(words(element) || element.id || element.className).toString().slice(0, 40)}"`;

  if (document.documentElement.lang !== "en") faults.push("the page names no language");
  if (!document.title.trim()) faults.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("there is not one main landmark");
  if (![...document.querySelectorAll("h1")].some(seen)) faults.push("no h1 is shown");

  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!seen(heading)) continue;
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(`heading level skipped before ${short(heading)}`);
    level = next;
  }

  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) faults.push(`id twice: ${id}`);

  const name = (element) =>
    element.getAttribute("aria-label") ||
    (element.getAttribute("aria-labelledby") && words(document.getElementById(element.getAttribute("aria-labelledby")) || element)) ||
    (element.labels && [...element.labels].map(words).join(" ")) ||
    words(element) ||
    element.title;
  for (const control of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, dialog")) {
    if (!name(control)) faults.push(`no name: ${control.outerHTML.slice(0, 80)}`);
  }
  for (const reference of ["aria-labelledby", "aria-describedby", "popovertarget", "for"]) {
    for (const element of document.querySelectorAll(`[${reference}]`)) {
      for (const id of element.getAttribute(reference).split(" ")) {
        if (id && !document.getElementById(id)) faults.push(`${reference} names nothing: ${id}`);
      }
    }
  }
  for (const nav of document.querySelectorAll("nav")) if (!nav.getAttribute("aria-label")) faults.push("a nav without a label");
  for (const image of document.querySelectorAll("img:not([alt])")) faults.push(`no alt: ${image.src}`);
  for (const drawing of document.querySelectorAll("svg")) {
    if (!drawing.closest("[aria-hidden=true]") && !drawing.getAttribute("aria-label")) faults.push(`an unnamed drawing in ${short(drawing.parentElement)}`);
  }

  // Thumbs: at least 24 by 24 pixels (WCAG 2.2, 2.5.8), links inside sentences excepted.
  for (const control of document.querySelectorAll("button, select, input:not([type=hidden], [type=checkbox], [type=radio]), .button, nav a")) {
    if (!seen(control)) continue;
    const box = control.getBoundingClientRect();
    if (box.width && (box.height < 24 || box.width < 24) && getComputedStyle(control).display !== "inline") {
      faults.push(`too small (${Math.round(box.width)}×${Math.round(box.height)}): ${short(control)}`);
    }
  }

  // Contrast (WCAG 2.2, 1.4.3), computed from what is painted.
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let node = element; node; node = node.parentElement) {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const linear = colour.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || judged.has(element) || !seen(element)) continue;
    if (element.closest("script, style, option, :disabled, .visually-hidden, .skip-link")) continue;
    judged.add(element);
    const style = getComputedStyle(element);
    const below = ground(element);
    const [light, dark] = [luminance(over(rgba(style.color), below)), luminance(below)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${short(element)}`);
  }

  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 0) faults.push(`scrolls sideways by ${wide} px`);
  return faults;
}
