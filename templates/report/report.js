"use strict";
// Sorting, choosing a reference, choosing quantities, and zooming all pictures at once. Without it the page
// shows everything, unsorted and at rest.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);

  // Tables: a heading sorts by its column, the best first; again turns the order round. Rows without a value
  // are last either way.
  const keyOf = (row, column) => {
    const cell = row.children[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return { text, number };
  };
  const sort = (table, header) => {
    const column = [...header.parentElement.children].indexOf(header);
    const before = header.getAttribute("aria-sort");
    const first = header.dataset.less === "false" ? "descending" : "ascending";
    const turned = { ascending: "descending", descending: "ascending" };
    const order = before === "none" ? first : turned[before];
    all("th[aria-sort]", table.tHead).forEach((other) => other.setAttribute("aria-sort", "none"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, ...keyOf(row, column) }));
    const numeric = rows.some((r) => !Number.isNaN(r.number)) && rows.every((r) => r.text === "" || r.text === "–" || !Number.isNaN(r.number));
    rows.sort((a, b) => {
      if (!numeric) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
      const [none, other] = [Number.isNaN(a.number), Number.isNaN(b.number)];
      return none || other ? none - other : sign * (a.number - b.number);
    });
    table.tBodies[0].append(...rows.map((r) => r.row));
  };
  for (const table of all("table.sortable")) {
    for (const header of all("th[aria-sort]", table.tHead)) {
      header.querySelector("button").addEventListener("click", () => sort(table, header));
    }
  }

  // Differences to another reference model.
  const reference = byId("reference");
  const compare = () => {
    const table = byId("scores");
    const headers = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    byId("reference-name").textContent = reference.value;
    for (const row of rows) {
      const other = rows.find((r) => r.dataset.condition === row.dataset.condition && r.dataset.model === reference.value);
      for (const cell of all("td.metric", row)) {
        const delta = cell.querySelector(".delta");
        delta.className = "delta";
        delta.textContent = "";
        const theirs = other?.cells[cell.cellIndex].dataset.value ?? "";
        if (row === other || cell.dataset.value === "" || theirs === "") continue;
        const difference = Number(cell.dataset.value) - Number(theirs);
        const { digits, less } = headers[cell.cellIndex].dataset;
        const size = Math.abs(difference).toFixed(Number(digits));
        delta.textContent = (difference < 0 ? "−" : "+") + size;
        delta.classList.add(Number(size) === 0 ? "same" : (difference < 0) === (less === "true") ? "better" : "worse");
      }
    }
  };
  reference?.addEventListener("change", compare);

  const viewer = byId("viewer");
  if (viewer) {
    // Which quantities are shown.
    const toggles = all("button.toggle");
    const show = () => {
      const shown = toggles.filter((t) => t.getAttribute("aria-pressed") === "true").map((t) => t.dataset.quantity);
      all("#viewer .row, .scales li[data-quantity]").forEach((e) => { e.hidden = !shown.includes(e.dataset.quantity); e.style.display = e.hidden ? "none" : ""; });
    };
    toggles.forEach((toggle) => toggle.addEventListener("click", () => {
      toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
      show();
    }));
    show();

    // One zoom for all: parts of a frame, so that frames of any size agree.
    const view = { z: 1, x: 0, y: 0 };
    const clamp = (v, lo, hi) => Math.min(hi, Math.max(lo, v));
    const apply = () => {
      view.z = clamp(view.z, 1, 32);
      view.x = clamp(view.x, 1 - view.z, 0);
      view.y = clamp(view.y, 1 - view.z, 0);
      viewer.style.setProperty("--z", view.z);
      viewer.style.setProperty("--x", 100 * view.x);
      viewer.style.setProperty("--y", 100 * view.y);
      viewer.classList.toggle("zoomed", view.z > 1);
      byId("zoom-value").textContent = `${Math.round(100 * view.z)} %`;
      all(".ruler", viewer).forEach((r) => r.classList.toggle("over", parseFloat(r.style.getPropertyValue("--length")) * view.z > 92));
    };
    // The point (u, v) of a frame stays where it is.
    const zoom = (factor, u = 0.5, v = 0.5) => {
      const z = clamp(view.z * factor, 1, 32);
      view.x = u - ((u - view.x) / view.z) * z;
      view.y = v - ((v - view.y) / view.z) * z;
      view.z = z;
      apply();
    };
    const move = (dx, dy) => { view.x += dx; view.y += dy; apply(); };
    const reset = () => { Object.assign(view, { z: 1, x: 0, y: 0 }); apply(); };
    byId("zoom-in").addEventListener("click", () => zoom(1.5));
    byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
    byId("zoom-reset").addEventListener("click", reset);
    const at = (frame, event) => {
      const box = frame.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    for (const frame of all(".frame", viewer)) {
      frame.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        zoom(Math.exp(-event.deltaY / 300), ...at(frame, event));
      }, { passive: false });
      frame.addEventListener("dblclick", (event) => zoom(event.shiftKey ? 0.5 : 2, ...at(frame, event)));
      let last = null;
      frame.addEventListener("pointerdown", (event) => { last = [event.clientX, event.clientY]; frame.setPointerCapture(event.pointerId); });
      frame.addEventListener("pointermove", (event) => {
        if (!last) return;
        const box = frame.getBoundingClientRect();
        move((event.clientX - last[0]) / box.width, (event.clientY - last[1]) / box.height);
        last = [event.clientX, event.clientY];
      });
      for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { last = null; });
    }
    const keys = {
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": reset,
      ArrowLeft: () => move(0.1, 0), ArrowRight: () => move(-0.1, 0), ArrowUp: () => move(0, 0.1), ArrowDown: () => move(0, -0.1),
    };
    viewer.addEventListener("keydown", (event) => {
      const arrow = event.key.startsWith("Arrow");
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key] || (arrow && view.z === 1)) return;
      event.preventDefault();
      keys[event.key]();
    });
    apply();
  }

  // On paper everything is open.
  let closed = [];
  addEventListener("beforeprint", () => { closed = all("details:not([open])"); closed.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));
})();
