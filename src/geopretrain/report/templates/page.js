"use strict";
// Figures are drawn from data, buttons show and hide what they name, a border moves between two pictures,
// and a page that is watched loads itself anew in the place where it was.
(() => {
  const KEPT = `geopretrain ${location.pathname}`;
  const all = (what, where = document) => [...where.querySelectorAll(what)];

  function make(tag, attributes = {}, text = "") {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  }

  // ---- contents
  function listContents() {
    const heads = all("main h2");
    const before = document.querySelector("main h2");
    if (heads.length < 4 || document.querySelector("main nav")) return;
    const nav = make("nav", { "aria-label": "contents" });
    const list = nav.appendChild(make("ul"));
    heads.forEach((head, number) => {
      head.id = head.id || `part-${number + 1}`;
      list.appendChild(make("li")).appendChild(make("a", { href: `#${head.id}` }, head.textContent));
    });
    before.before(nav);
  }

  // ---- figures
  function draw(figure) {
    const place = figure.querySelector(".drawing");
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    Plotly.newPlot(place, data, layout, { displayModeBar: false });
    new ResizeObserver(() => requestAnimationFrame(() => fit(place))).observe(place);
    for (const button of all("button[data-name]", figure)) {
      button.addEventListener("click", () => toggle(place, button));
    }
  }

  function fit(place) {
    const shown = place.offsetParent !== null && place.clientWidth > 0;
    if (shown && place.clientWidth !== place._fullLayout.width) Plotly.Plots.resize(place);
  }

  function toggle(place, button) {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    const own = place.data.flatMap((trace, k) => (trace.legendgroup === button.dataset.name ? [k] : []));
    Plotly.restyle(place, { visible: shown }, own);
  }

  // ---- two pictures with a border between them
  function slides(place) {
    const gallery = document.getElementById(place.dataset.gallery);
    const pictures = new Map();
    for (const image of all("img[data-name]", gallery)) {
      const of = pictures.get(image.dataset.picture) || new Map();
      pictures.set(image.dataset.picture, of.set(image.dataset.name, image));
    }
    if (!pictures.size) return;
    const [first, ...others] = pictures.values();
    const names = [...first.keys()].filter((name) => others.every((of) => of.has(name)));
    const known = { left: names[0], right: names[names.length - 1] };
    const choose = {};
    const row = place.appendChild(make("p", { class: "choices" }));
    for (const side of ["left", "right"]) {
      const label = row.appendChild(make("label", {}, `${side} `));
      choose[side] = label.appendChild(make("select", { "aria-label": `picture on the ${side}` }));
      for (const name of names) choose[side].appendChild(make("option", { value: name }, name));
      choose[side].value = names.includes(place.dataset[side]) ? place.dataset[side] : known[side];
      choose[side].addEventListener("change", () => shown.forEach((one) => one()));
    }
    const shown = [...pictures].map(([name, of]) => slide(place, name, of, choose));
    place.hidden = false;
  }

  function slide(place, name, images, choose) {
    const figure = place.appendChild(make("figure", { class: "slide" }));
    const stack = figure.appendChild(make("div", { class: "stack" }));
    const right = stack.appendChild(make("img"));
    const left = stack.appendChild(make("img", { class: "left" }));
    stack.appendChild(make("span", { class: "border", "aria-hidden": "true" }));
    const range = stack.appendChild(make("input", { type: "range", min: 0, max: 100, value: 50 }));
    figure.appendChild(make("figcaption", { class: "note" }, name));
    const move = () => {
      stack.style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-valuetext", `${range.value} % ${choose.left.value}`);
    };
    const show = () => {
      for (const [image, side] of [[left, choose.left.value], [right, choose.right.value]]) {
        const source = images.get(side);
        image.src = source.src;
        image.alt = source.alt;
        image.classList.toggle("map", source.classList.contains("map"));
      }
      range.setAttribute("aria-label", `border between ${choose.left.value} and ${choose.right.value}, ${name}`);
      move();
    };
    range.addEventListener("input", move);
    show();
    return show;
  }

  // ---- watching
  function watch() {
    const every = Number(document.body.dataset.every);
    if (!every) return;
    let timer = setTimeout(reload, 1000 * every);
    const button = document.querySelector("#watched button");
    button.addEventListener("click", () => {
      const paused = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(paused));
      clearTimeout(timer);
      if (!paused) timer = setTimeout(reload, 1000 * every);
    });
  }

  function reload() {
    const open = all("details").flatMap((one, k) => (one.open ? [k] : []));
    const hidden = all("figure.plot").map((figure) =>
      all("button[aria-pressed='false']", figure).map((button) => button.dataset.name));
    const place = { top: scrollY, focus: all("a, button, summary, input, select").indexOf(document.activeElement) };
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ open, hidden, ...place }));
    } catch {
      // without storage the page begins at its top
    }
    location.reload();
  }

  function restore() {
    let kept = null;
    try {
      kept = JSON.parse(sessionStorage.getItem(KEPT));
      sessionStorage.removeItem(KEPT);
    } catch {
      return;
    }
    if (!kept) return;
    kept.open.forEach((k) => { if (all("details")[k]) all("details")[k].open = true; });
    all("figure.plot").forEach((figure, k) => all("button[data-name]", figure).forEach((button) => {
      if ((kept.hidden[k] || []).includes(button.dataset.name)) button.click();
    }));
    const focused = all("a, button, summary, input, select")[kept.focus];
    if (focused) focused.focus({ preventScroll: true });
    scrollTo(0, kept.top);
  }

  listContents();
  all("figure.plot").forEach(draw);
  all(".slides").forEach(slides);
  restore();
  watch();
})();
