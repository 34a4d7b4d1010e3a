"use strict";
// Failures narrowed to those that contain what is typed. Without this script all of them are shown.
const heading = document.getElementById("failures");
if (heading) {
  const box = document.createElement("input");
  box.id = "filter";
  box.type = "search";
  box.placeholder = "Show failures that contain ...";
  box.setAttribute("aria-label", box.placeholder);
  heading.after(box);
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLowerCase();
    for (const part of document.querySelectorAll("details.part")) {
      const cases = part.querySelectorAll("article");
      let shown = 0;
      let title = "";
      for (const row of part.children) {
        if (row.tagName === "H3") title = row.textContent;
        if (row.tagName !== "ARTICLE") continue;
        row.hidden = !(title + " " + row.textContent).toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      if (cases.length) {
        part.hidden = shown === 0;
        if (wanted) part.open = true;
      }
    }
  });
}
