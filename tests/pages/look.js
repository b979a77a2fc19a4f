// Run in a copy of a page: what a reader would see, as JSON in the page around its frame.
"use strict";

const refused = [];
document.addEventListener("securitypolicyviolation", (event) =>
  refused.push(`${event.violatedDirective} ${event.blockedURI}`),
);

function channel(value) {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

// Relative luminance and contrast as WCAG 2.2 defines them.
function luminance([red, green, blue]) {
  return 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function colour(text) {
  const parts = text.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
  return { rgb: parts.slice(0, 3), opaque: (parts[3] ?? 1) > 0 };
}

function background(element) {
  for (let node = element; node; node = node.parentElement) {
    const { rgb, opaque } = colour(getComputedStyle(node).backgroundColor);
    if (opaque) return rgb;
  }
  return [255, 255, 255];
}

function ownText(element) {
  const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
  return own.map((node) => node.data).join("").trim();
}

function shown() {
  return [...document.body.querySelectorAll("*")].filter(
    (element) => !["SCRIPT", "TITLE", "title"].includes(element.tagName) && ownText(element),
  );
}

function faint(element) {
  const style = getComputedStyle(element);
  const ink = colour(element instanceof SVGElement ? style.fill : style.color).rgb;
  return contrast(ink, background(element)) < 4.5;
}

function name(element) {
  return `${element.tagName.toLowerCase()} ${element.textContent.trim().slice(0, 40)}`;
}

function tooWide() {
  return [...document.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    return !element.closest(".scroll table, svg *") && (box.right > innerWidth + 1 || box.left < -1);
  });
}

function overlaps(drawing) {
  const found = [];
  const frame = drawing.getBoundingClientRect();
  const texts = [...drawing.querySelectorAll("text")].map((text) => ({
    text: text.textContent,
    box: text.getBoundingClientRect(),
  }));
  texts.forEach(({ text, box }, at) => {
    if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`cut off: ${text}`);
    if (box.top < frame.top - 1 || box.bottom > frame.bottom + 1) found.push(`cut off: ${text}`);
    for (const other of texts.slice(at + 1)) {
      const across = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const down = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
      // A line's box is a little higher than its letters.
      if (across > 1 && down > 0.25 * box.height) found.push(`${text} over ${other.text}`);
    }
  });
  return found;
}

function drawn(character) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  context.font = getComputedStyle(document.body).font;
  context.fillText(character, 10, 40);
  return context.getImageData(0, 0, 100, 100).data.join();
}

function missing() {
  const none = drawn("\u{10fffe}");
  const used = new Set(document.body.textContent.match(/\p{L}/gu));
  return [...used].filter((character) => drawn(character) === none);
}

function report() {
  const drawings = [...document.querySelectorAll("svg.drawing")];
  const texts = shown();
  const seen = {
    title: document.title,
    width: innerWidth,
    scroll_width: document.scrollingElement.scrollWidth,
    is_dark: matchMedia("(prefers-color-scheme: dark)").matches,
    too_wide: tooWide().map(name),
    plots: drawings.map((drawing) => {
      const { width, height } = drawing.getBoundingClientRect();
      const sizes = [...drawing.querySelectorAll("text")].map(
        (text) => (parseFloat(getComputedStyle(text).fontSize) * width) / drawing.viewBox.baseVal.width,
      );
      const title = drawing.closest("figure").querySelector("h2").textContent;
      return { title, width, height, letters: Math.min(...sizes) };
    }),
    overlaps: drawings.flatMap(overlaps),
    texts: texts.length,
    faint: texts.filter(faint).map(name),
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    refused,
    missing: missing(),
  };
  const element = document.createElement("pre");
  element.id = "seen";
  element.textContent = JSON.stringify(seen);
  parent.document.body.append(element);
}

// By then what was asked for has come or failed; the page around waits for it.
addEventListener("load", report);
