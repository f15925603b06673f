"use strict";
// The search box and the state filter. Without this script every study is simply shown.
(() => {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const matches = document.getElementById("matches");
  const nothing = document.getElementById("nothing");
  const groups = [...document.querySelectorAll(".group")];
  const studies = [...document.querySelectorAll(".study")];
  const texts = new Map(studies.map((study) => [study, study.textContent.toLowerCase().replace(/\s+/g, " ")]));

  const apply = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = form.elements.state.value;
    let found = 0;
    for (const group of groups) {
      let some = false;
      for (const study of group.querySelectorAll(".study")) {
        const fits = (!state || group.dataset.state === state) && wanted.every((w) => texts.get(study).includes(w));
        study.hidden = !fits;
        some ||= fits;
        found += fits;
      }
      group.hidden = !some;
    }
    nothing.hidden = found > 0;
    matches.textContent = found === studies.length ? "" : `${found} of ${studies.length}`;
  };

  form.hidden = studies.length === 0;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
})();
