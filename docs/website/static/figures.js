// Sliders for the figures: each frame holds the attribute of every layer that changes.
"use strict";
const SHADES = "0123456789abcdefghijklmnopqrstuvwxyz";
const ATTRIBUTE = { polyline: "points", path: "d" };

for (const figure of document.querySelectorAll("figure.play[data-start]")) {
  const frames = JSON.parse(figure.querySelector("script").textContent);
  const [label, reading] = figure.querySelector(".reading").children;
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: frames.length - 1, step: 1,
                          value: figure.dataset.start });
  slider.setAttribute("aria-label", figure.querySelector("svg").getAttribute("aria-label"));

  const show = () => {
    const [name, read, values] = frames[slider.value];
    label.textContent = name;
    reading.textContent = read;
    slider.setAttribute("aria-valuetext", `${name}. ${read}`);
    for (const [key, value] of Object.entries(values)) {
      const layer = figure.querySelector(`[data-k="${key}"]`);
      if (layer.tagName === "text") layer.textContent = value;
      else if (layer.tagName === "g") {
        for (let k = 0; k < value.length; k++)
          layer.children[k].setAttribute("fill-opacity", SHADES.indexOf(value[k]) / 35);
      } else layer.setAttribute(ATTRIBUTE[layer.tagName], value);
    }
  };
  slider.addEventListener("input", show);
  figure.querySelector(".reading").before(slider);
  show();
}
