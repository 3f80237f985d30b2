"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const MOST_BARS = 400;
  const LETTERS_UP_TO = 130;
  const MEAN_OVER = 21;
  const POWERS = [0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]; // Vega's own ticks are for linear axes
  const COLOURS = {
    light: { in: "#0072b2", ood: "#d55e00", ink: "#1d2733", faint: "#d5dbe1", label: "#46525e" },
    dark: { in: "#56b4e9", ood: "#f2a03d", ink: "#edf1f5", faint: "#38424d", label: "#b9c3cd" },
  };
  const HEAT = {
    light: ["#d8e7f5", "#b3d2e9", "#82b9da", "#4e99c8", "#2676b4", "#0d519a", "#08306b"],
    dark: ["#12304f", "#14497c", "#2169a5", "#438fc8", "#79b5e2", "#b4d9f5", "#f0f8ff"],
  };
  let countScale = "linear";
  const drawn = new Map(); // chart's element -> what finalizes it
  const wanted = new Map(); // chart's element -> what is to be drawn next, while it is being drawn

  const themeName = () => (dark.matches && !window.matchMedia("print").matches ? "dark" : "light");

  // A copy of a specification with the colours and scales that hold now in place of their names. Rows of
  // data are left alone: what a run is called is no name of ours.
  function resolved(value) {
    if (Array.isArray(value)) return value.map(resolved);
    if (value?.scale?.type === "@count" && countScale !== "linear" && !value.axis) {
      return resolved({ ...value, axis: { values: POWERS, format: ",d" } });
    }
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, key === "values" ? inner : resolved(inner)]),
      );
    }
    if (typeof value === "string" && value.startsWith("@")) {
      return value === "@count" ? countScale : COLOURS[themeName()][value.slice(1)];
    }
    return value;
  }


  function config() {
    const colour = COLOURS[themeName()];
    return {
      background: null,
      font: "system-ui, sans-serif",
      view: { stroke: null },
      axis: {
        domainColor: colour.label, tickColor: colour.label, gridColor: colour.faint,
        labelColor: colour.label, titleColor: colour.ink, labelFontSize: 12, titleFontSize: 12,
        titleFontWeight: 600, labelOverlap: true, titlePadding: 8,
      },
      legend: { labelColor: colour.ink, titleColor: colour.ink, labelFontSize: 12, titleFontSize: 12 },
      range: { heatmap: HEAT[themeName()] },
      axisX: { grid: false, tickCount: 6 },
      axisY: { tickCount: 5 },
    };
  }

  // Draw a chart; of several that are asked for while one is being drawn, the last.
  async function draw(element, spec, description) {
    const busy = wanted.has(element);
    wanted.set(element, [spec, description]);
    if (busy) return;
    try {
      for (let next = null; next !== wanted.get(element); ) {
        next = wanted.get(element);
        await embed(element, ...next);
      }
    } finally {
      wanted.delete(element);
    }
  }

  async function embed(element, spec, description) {
    const full = {
      width: "container",
      autosize: { type: "fit-x", contains: "padding" },
      description,
      ...resolved(spec),
    };
    drawn.get(element)?.();
    drawn.delete(element);
    const result = await vegaEmbed(element, full, {
      config: config(),
      renderer: "svg",
      actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
      downloadFileName: element.dataset.chart,
      tooltip: { theme: themeName() },
    });
    drawn.set(element, () => result.finalize());
    const summary = element.querySelector("summary");
    if (summary) summary.setAttribute("aria-label", "Save this chart as an image");
    for (const link of element.querySelectorAll(".vega-actions a")) {
      link.addEventListener("keydown", (event) => save(event, link, result.view));
    }
  }

  // Vega-Embed makes the image when a mouse button goes down, of which a keyboard has none.
  async function save(event, link, view) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    link.href = await view.toImageURL(link.textContent.endsWith("PNG") ? "png" : "svg");
    link.click();
  }

  const isShown = (element) => element.closest("[hidden]") === null;

  function drawCharts(scope, again) {
    for (const element of scope.querySelectorAll("[data-chart]")) {
      const { spec, description } = data[element.dataset.chart];
      if (isShown(element) && (again || !drawn.has(element))) draw(element, spec, description);
    }
  }

  // One run's reads base by base.
  class Trace {
    constructor(panel) {
      this.reads = data[panel.dataset.traces].reads;
      this.panel = panel;
      this.choice = panel.querySelector("select");
      this.status = panel.querySelector("[role=status]");
      this.chart = panel.querySelector(".trace-chart");
      this.windows = panel.querySelector(".windows-chart");
      this.table = panel.querySelector("details");
      for (const [place, read] of this.reads.entries()) this.choice.add(new Option(read.label, place));
      this.choice.addEventListener("change", () => this.show(this.choice.value));
      for (const button of panel.querySelectorAll("[data-move]")) {
        button.addEventListener("click", () => this.move(button.dataset.move));
      }
      this.table.addEventListener("toggle", () => this.fillTable());
      this.read = this.reads[0];
      this.from = 1;
      this.to = this.read.length;
    }

    show(place) {
      this.choice.value = place;
      this.read = this.reads[place];
      this.from = 1;
      this.to = this.read.length;
      this.draw();
    }

    showRow(row) {
      const place = this.reads.findIndex((read) => read.row === row);
      if (place < 0) return;
      this.show(place);
      this.panel.scrollIntoView({ block: "nearest" });
      this.choice.focus();
    }

    move(how) {
      const { length } = this.read;
      const span = this.to - this.from + 1;
      const middle = (this.from + this.to) / 2;
      const wide = { in: Math.ceil(span / 2), out: span * 2, all: length }[how] ?? span;
      const wider = Math.min(Math.max(wide, Math.min(20, length)), length);
      const shift = { left: -span / 2, right: span / 2 }[how] ?? 0;
      this.from = Math.round(Math.min(Math.max(middle + shift - wider / 2 + 0.5, 1), length - wider + 1));
      this.to = this.from + wider - 1;
      this.draw();
    }

    bars() {
      const { bases, llr, logP } = this.read;
      const step = Math.ceil((this.to - this.from + 1) / MOST_BARS);
      const rows = [];
      for (let start = this.from; start <= this.to; start += step) {
        const stop = Math.min(start + step - 1, this.to);
        const known = llr.slice(start - 1, stop).filter((value) => value !== null);
        if (!known.length) continue;
        const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
        const row = { a: start - 0.5, b: stop + 0.5, llr: mean, better: mean < 0 ? "background" : "reference" };
        if (step === 1) Object.assign(row, { base: bases[start - 1], logP: logP[start - 1], at: start });
        else row.at = `${start} to ${stop}`;
        rows.push(row);
      }
      return { rows, step };
    }

    meanOver(step) {
      return Math.max(MEAN_OVER, 6 * step + 1);
    }

    means(step) {
      const { llr } = this.read;
      const half = (this.meanOver(step) - 1) / 2;
      const rows = [];
      for (let at = this.from; at <= this.to; at += step) {
        const known = llr.slice(Math.max(at - 1 - half, 0), at + half).filter((value) => value !== null);
        if (known.length) rows.push({ at, mean: known.reduce((sum, value) => sum + value, 0) / known.length });
      }
      return rows;
    }

    draw() {
      const { bases, length, windows, label } = this.read;
      const shown = `bases ${this.from.toLocaleString("en")} to ${this.to.toLocaleString("en")} of ${length.toLocaleString("en")}`;
      let step = 1;
      this.chart.hidden = !bases;
      this.windows.hidden = !windows;
      if (bases) {
        const bars = this.bars();
        step = bars.step;
        draw(this.chart, this.traceSpec(bars.rows, step), `Log-likelihood ratio of each base of ${label}, ${shown}.`);
      }
      if (windows) {
        draw(this.windows, this.windowSpec(windows), `Log-likelihood ratio per base of windows of ${label}, ${shown}.`);
      }
      const grouped = step > 1 ? `; each bar is the mean of ${step} bases: zoom in for single ones` : "; a bar for each base";
      this.status.textContent = shown + (bases ? `${grouped}; line: mean of ${this.meanOver(step)}` : "; by window only");
      this.fillTable();
    }

    axis() {
      return {
        type: "quantitative", title: "position in the read, from 1",
        scale: { domain: [this.from - 0.5, this.to + 0.5], nice: false, zero: false },
        axis: { tickMinStep: 1, format: ",d" },
      };
    }

    traceSpec(rows, step) {
      const colour = {
        field: "better", type: "nominal",
        scale: { domain: ["reference", "background"], range: ["@in", "@ood"] },
        legend: { orient: "top", title: "better explained by", },
      };
      const y = { type: "quantitative", title: "log-likelihood ratio, nats" };
      const layer = [
        {
          data: { values: rows },
          mark: { type: "rect", aria: false, clip: true },
          encoding: {
            x: { field: "a", ...this.axis() }, x2: { field: "b" },
            y: { field: "llr", ...y }, y2: { datum: 0 }, color: colour,
            tooltip: [
              { field: "at", title: "position" },
              ...(step === 1 ? [{ field: "base" }, { field: "logP", title: "log p" }] : []),
              { field: "llr", title: "ratio", format: ".3f" },
            ],
          },
        },
        {
          data: { values: this.means(step) },
          mark: { type: "line", color: "@ink", strokeWidth: 1.5, aria: false, clip: true },
          encoding: { x: { field: "at", ...this.axis() }, y: { field: "mean", ...y } },
        },
      ];
      if (this.to - this.from < LETTERS_UP_TO && this.chart.clientWidth > 6 * (this.to - this.from)) {
        layer.push({
          data: { values: rows },
          mark: { type: "text", font: "ui-monospace, monospace", fontSize: 10, color: "@ink", baseline: "bottom", dy: -1, aria: false },
          encoding: { x: { field: "at", ...this.axis() }, y: { value: 220 }, text: { field: "base" } },
        });
      }
      return { height: 220, layer };
    }

    windowSpec(windows) {
      const rows = windows.map(([start, end, ratio, p]) => ({
        a: start + 0.5, b: end + 0.5, ratio, p, small: p === null ? "unknown" : p <= 0.05 ? "p ≤ 0.05" : "p > 0.05",
      }));
      return {
        height: 120,
        data: { values: rows.filter((row) => row.ratio !== null) },
        mark: { type: "rect", aria: false, clip: true },
        encoding: {
          x: { field: "a", ...this.axis() }, x2: { field: "b" },
          y: { field: "ratio", type: "quantitative", title: "ratio per base, nats" }, y2: { datum: 0 },
          color: {
            field: "small", type: "nominal", legend: { orient: "top", title: "windows" },
            scale: { domain: ["p > 0.05", "p ≤ 0.05"], range: ["@in", "@ood"] },
          },
          tooltip: [
            { field: "a", title: "from" }, { field: "b", title: "to" },
            { field: "ratio", format: ".4f" }, { field: "p", title: "p-value" },
          ],
        },
      };
    }

    fillTable() {
      const body = this.table.querySelector("tbody");
      body.replaceChildren();
      this.table.hidden = !this.read.bases;
      if (!this.table.open || !this.read.bases) return;
      const { bases, llr, logP } = this.read;
      const last = Math.min(this.to, this.from + 1999);
      for (let at = this.from; at <= last; at += 1) {
        const row = body.insertRow();
        for (const value of [at, bases[at - 1], logP[at - 1], llr[at - 1]]) row.insertCell().textContent = value ?? "–";
      }
    }
  }

  const traces = new Map();
  for (const panel of document.querySelectorAll("[data-traces]")) traces.set(panel, new Trace(panel));

  function drawAll(again) {
    drawCharts(document, again);
    for (const [panel, trace] of traces) {
      if (isShown(panel) && (again || !drawn.size || !panel.dataset.drawn)) {
        panel.dataset.drawn = "yes";
        trace.draw();
      }
    }
  }

  for (const button of document.querySelectorAll("[data-row]")) {
    const panel = button.closest("section.run").querySelector("[data-traces]");
    button.addEventListener("click", () => traces.get(panel).showRow(Number(button.dataset.row)));
  }

  for (const input of document.querySelectorAll("input[name=counts]")) {
    input.addEventListener("change", () => {
      countScale = input.value;
      for (const element of document.querySelectorAll("[data-chart]")) {
        const { spec, description } = data[element.dataset.chart];
        if (isShown(element) && JSON.stringify(spec).includes('"@count"')) draw(element, spec, description);
      }
    });
  }

  const choice = document.getElementById("run-choice");
  choice?.addEventListener("change", showRuns);
  function showRuns() {
    for (const section of document.querySelectorAll("section.run")) {
      section.hidden = choice !== null && choice.value !== "all" && choice.value !== section.id;
    }
    drawAll(false);
  }

  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const table = heading.closest("table");
      const place = heading.cellIndex;
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[place].dataset.value;
      const compare = (one, other) => {
        const [a, b] = [key(one), key(other)];
        const numbers = a !== "" && b !== "" && !Number.isNaN(Number(a)) && !Number.isNaN(Number(b));
        const order = numbers ? a - b : a.localeCompare(b, "en");
        return down ? -order : order;
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(compare));
    });
  }

  // A link to a run shows it.
  window.addEventListener("hashchange", follow);
  function follow() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const section = target?.closest("section.run");
    if (section?.hidden && choice !== null) {
      choice.value = section.id;
      showRuns();
      target.scrollIntoView();
    }
  }

  document.documentElement.classList.add("scripted");
  dark.addEventListener("change", () => drawAll(true));
  showRuns();
  follow();
})();
