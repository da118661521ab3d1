(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const $ = (id) => document.getElementById(id);
  const gap = study.strong_quality - study.weak_quality;
  const N_SHOWN = 10;

  // One entry per curve; random is a straight line, known without scores.
  const random = { name: "random, expected", baseline: true, straight: true, band: null, reachable: [0, 1], cuts: {
    n_strong: [0, study.n], threshold: [null, null], quality: [study.weak_quality, study.strong_quality],
    cost_usd: study.usd && [study.usd.weak, study.usd.strong] } };
  const curves = [...study.routers, random];
  let nAsked = 0, nBaseline = 0;
  for (const router of curves) {
    if (router.baseline) {
      router.style = { baseline: true, color: router.straight ? "var(--g0)" : `var(--g${nBaseline % 2})`, dash: router.straight ? RANDOM_DASH : BASELINE_DASHES[nBaseline % 4], mark: nBaseline % 6 };
      nBaseline += 1;
    } else {
      router.style = { baseline: false, color: `var(--c${nAsked % 6})`, dash: DASHES[(nAsked + Math.floor(nAsked / 6)) % 6], mark: (nAsked + Math.floor(nAsked / 6)) % 6 };
      nAsked += 1;
    }
    router.visible = router.name !== "oracle";
  }

  const state = { router: Math.max(0, study.routers.findIndex((one) => one.name === study.start.router)), cut: 0 };
  const chosen = () => study.routers[state.router];
  const shareAt = (router, cut) => router.cuts.n_strong[cut] / study.n;
  const slider = $("slider");
  slider.max = Math.min(study.n, 200);

  function nearestCut(router, share) {
    let best = 0;
    for (let k = 1; k < router.cuts.n_strong.length; k += 1)
      if (Math.abs(shareAt(router, k) - share) < Math.abs(shareAt(router, best) - share)) best = k;
    return best;
  }

  // The cut that a threshold brings about: all prompts with a score at or above it.
  function cutOfThreshold(router, threshold) {
    let found = 0;
    router.cuts.threshold.forEach((one, k) => { if (k && (one === null || one >= threshold)) found = k; });
    return found;
  }

  function thresholdText(router, cut) {
    const threshold = router.cuts.threshold[cut];
    return threshold === null ? "above all scores" : scoreText(threshold, router.probability);
  }

  function pgr(router, quality) {
    const ends = router.cuts.quality;
    return study.models_tie ? null : (quality - ends[0]) / (ends[ends.length - 1] - ends[0]);
  }

  function signed(value, digits) {
    const text = fixed(value, digits);
    return /^[0.,]+$/.test(text) || text.startsWith("−") ? text : "+" + text;
  }

  function showNumbers() {
    const router = chosen(), { cuts, band } = router, cut = state.cut;
    const share = shareAt(router, cut), quality = cuts.quality[cut], digits = study.quality_digits;
    const strong = cuts.quality[cuts.quality.length - 1];
    const above = quality - (study.weak_quality + share * gap);
    $("threshold").textContent = thresholdText(router, cut);
    $("share").textContent = percent(share);
    $("count").textContent = `${fixed(cuts.n_strong[cut], 0)} of ${fixed(study.n, 0)}`;
    $("quality").textContent = fixed(quality, digits);
    const low = band && interpolate(share, band.strong_share, band.low), high = band && interpolate(share, band.strong_share, band.high);
    $("quality-interval").textContent = low === null || high === null || low === high ? "" : `[${fixed(low, digits)}, ${fixed(high, digits)}]`;
    $("above-random").textContent = signed(above, digits);
    const gains = band && [band.gain_low, band.gain_high].map((ends) => interpolate(share, band.strong_share, ends));
    $("gain-interval").textContent = gains && gains[0] !== null && gains[0] !== gains[1] ? `[${gains.map((gain) => signed(gain, digits)).join(", ")}]` : "";
    $("of-strong").textContent = percent(strong > 0 ? quality / strong : null);
    $("pgr").textContent = percent(pgr(router, quality));
    if (cuts.cost_usd) {
      const cost = cuts.cost_usd[cut], all = cuts.cost_usd[cuts.cost_usd.length - 1];
      $("usd").textContent = dollars(1000 * cost, study.usd.digits);
      $("saved").textContent = dollars(1000 * (all - cost), study.usd.digits);
      $("saved-share").textContent = all > 0 ? percent((all - cost) / all) : "";
    }
    slider.setAttribute("aria-valuetext", `threshold ${$("threshold").textContent}, ${$("share").textContent} of calls to the strong model, mean quality ${$("quality").textContent}`);
  }

  // Positions of a curve on the chosen axes; x is null where it is not known.
  function axes() {
    const byUsd = study.usd && $("x-axis").value === "usd", byPgr = $("y-axis").value === "pgr" && !study.models_tie;
    return {
      byUsd, byPgr,
      x: (router, cut) => (byUsd ? 1000 * router.cuts.cost_usd[cut] : shareAt(router, cut)),
      y: (router, quality) => (byPgr ? pgr(router, quality) : quality),
    };
  }

  function bandPoints(router, { byUsd, y }) {
    const { strong_share: shares, gain_low: low, gain_high: high } = router.band;
    const own = router.cuts.n_strong.map((n) => n / study.n);
    const x = (share) => (byUsd ? 1000 * interpolate(share, own, router.cuts.cost_usd) : share);
    const upper = [], lower = [];
    shares.forEach((share, k) => {
      if (low[k] === null || high[k] === null) return;
      const random = study.weak_quality + share * gap;
      upper.push([x(share), y(router, random + high[k])]);
      lower.unshift([x(share), y(router, random + low[k])]);
    });
    return upper.concat(lower);
  }

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
    const pad = (high - low) * 0.04 || Math.abs(high) * 0.05 || 0.5;
    return { low: low - pad, high: high + pad };
  }

  let scales = null;
  function drawCurves() {
    const drawn = curves.filter((router) => router.visible || router === chosen());
    const on = axes(), which = $("bands").value;
    const banded = drawn.filter((router) => router.band && (which === "all" || (which === "one" && router === chosen())));
    const lines = new Map(drawn.map((router) => [router, router.cuts.quality.map((quality, cut) => [on.x(router, cut), on.y(router, quality)])]));
    const bands = banded.map((router) => [router, bandPoints(router, on)]);
    const all = [...lines.values(), ...bands.map((one) => one[1])].flat();
    const across = on.byUsd ? extent(all.map((point) => point[0])) : { low: 0, high: 1 };
    scales = frame($("curve"), {
      x: { ...across, label: on.byUsd ? "Dollars per 1,000 prompts" : "Share of calls to the strong model", print: on.byUsd ? dollars : (tick) => percent(tick, 0) },
      y: { ...extent(all.map((point) => point[1])), label: on.byPgr ? "Gap recovered (PGR)" : "Mean quality", print: on.byPgr ? (tick) => percent(tick, 0) : fixed },
    });
    scales.across = across;
    const { px, py } = scales, svg = $("curve");
    for (const [router, points] of bands) {
      if (!points.length) continue;
      const area = element("path", { class: "band", d: path(points, px, py) + "Z" });
      area.style.setProperty("--c", router.style.color);
      svg.append(area);
    }
    drawn.forEach((router, order) => {
      const points = lines.get(router);
      addLine(svg, router.style, path(points, px, py)).setAttribute("data-router", router.name);
      if (!router.baseline) addMarks(router, points, order);
    });
    addEnds(on);
    drawCursor();
    $("curve-text").textContent = `Curves of ${drawn.map((router) => router.name).join(", ")}: ${on.byPgr ? "share of the quality gap recovered" : "mean quality"} against ${on.byUsd ? "dollars per 1,000 prompts" : "the share of calls to the strong model"}. The figures of the chosen point stand beside the chart; the tables hold the rest.`;
  }

  function addMarks(router, points, order) {
    for (let k = 0; k < 5; k += 1) {
      const [x, y] = points[nearestCut(router, 0.1 + 0.2 * k + 0.03 * (order % 6))];
      addMark($("curve"), router.style, scales.px(x), scales.py(y));
    }
  }

  // The two models alone, at the ends of every curve.
  function addEnds(on) {
    const { px, py, box } = scales, svg = $("curve");
    [[0, study.weak, "start", 9], [1, study.strong, "end", -9]].forEach(([end, name, anchor, shift]) => {
      const x = px(on.x(random, end)), y = py(on.y(random, random.cuts.quality[end]));
      svg.append(element("circle", { class: "model", cx: x, cy: y, r: 4.5 }));
      const below = gap < 0 ? !end : end;
      const label = element("text", { class: "name", x: x + shift, y: Math.min(y + (below ? 32 : 18), box.bottom - 5), "text-anchor": anchor });
      label.textContent = shortName(name);
      svg.append(label);
    });
  }

  function shortName(name) {
    const last = name.split("/").filter(Boolean).pop() || name;
    return last.length > 26 ? last.slice(0, 25) + "…" : last;
  }

  function drawCursor() {
    const svg = $("curve");
    svg.querySelectorAll(".cursor, .here").forEach((node) => node.remove());
    const router = chosen(), on = axes(), { px, py, box } = scales;
    const x = px(on.x(router, state.cut)), y = py(on.y(router, router.cuts.quality[state.cut]));
    svg.append(element("line", { class: "cursor", x1: x, x2: x, y1: box.top, y2: box.bottom }));
    const here = element("circle", { class: "here", cx: x, cy: y, r: 6 });
    here.style.setProperty("--c", router.style.color);
    svg.append(here);
  }

  const asPercent = { print: (tick, digits) => percent(tick, Math.max(0, digits - 2)) };
  function drawTrust() {
    const { reliability, histogram, name, n_abstained } = chosen();
    $("trust").hidden = $("bins").hidden = !reliability;
    $("trust-none").hidden = Boolean(reliability);
    $("trust-none").textContent = n_abstained === study.n ? `${name} gave no score to any prompt.` : `The scores of ${name} are only an order, not win probabilities: there is nothing to hold against outcomes. Choose another router above to see its reliability.`;
    if (!reliability) return;
    drawReliability(reliability);
    drawHistogram(histogram);
    $("bin-rows").replaceChildren(...reliability.n.map((n, k) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = String(k + 1);
      row.append(head);
      for (const text of [fixed(n, 0), fixed(reliability.mean_probability[k], 3), `${fixed(reliability.win_share[k], 3)} [${fixed(reliability.low[k], 3)}, ${fixed(reliability.high[k], 3)}]`])
        row.insertCell().textContent = text;
      return row;
    }));
  }

  function drawReliability({ mean_probability: forecast, win_share: share, low, high }) {
    const svg = $("reliability"), x = extent(forecast), y = extent([...low, ...high, ...forecast]);
    const { px, py } = frame(svg, { x: { ...asPercent, ...x, label: "Mean win probability" }, y: { ...asPercent, ...y, label: "Share of wins, ties half" } });
    const from = Math.max(x.low, y.low), to = Math.min(x.high, y.high); // the diagonal, where it is in sight
    if (from < to) svg.append(element("line", { class: "axis", "stroke-dasharray": "4 4", x1: px(from), y1: py(from), x2: px(to), y2: py(to) }));
    const style = { color: "var(--c0)", dash: "", mark: 0, baseline: true };
    addLine(svg, style, path(forecast.map((x, k) => [x, share[k]]), px, py));
    forecast.forEach((x, k) => {
      svg.append(element("line", { class: "bar", x1: px(x), x2: px(x), y1: py(low[k]), y2: py(high[k]) }));
      addMark(svg, style, px(x), py(share[k]));
    });
  }

  function drawHistogram({ low, high, wins, ties, losses }) {
    const svg = $("histogram"), totals = wins.map((n, k) => n + ties[k] + losses[k]);
    const { px, py, box } = frame(svg, { x: { ...asPercent, low, high, label: "Win probability" }, y: { low: 0, high: Math.max(...totals) * 1.05, label: "Prompts", print: (tick) => (Number.isInteger(tick) ? fixed(tick, 0) : "") } });
    totals.forEach((total, k) => {
      let floor = 0;
      for (const [kind, counts] of [["win", wins], ["tie", ties], ["loss", losses]]) {
        const edge = (bin) => px(low + ((high - low) * bin) / totals.length);
        const x = edge(k) + 0.5, width = edge(k + 1) - x - 0.5;
        svg.append(element("rect", { class: kind, x, width, y: py(floor + counts[k]), height: py(floor) - py(floor + counts[k]) }));
        floor += counts[k];
      }
    });
    drawThreshold = () => {
      svg.querySelectorAll(".cursor").forEach((node) => node.remove());
      const threshold = chosen().cuts.threshold[state.cut];
      if (threshold !== null) svg.append(element("line", { class: "cursor", x1: px(threshold), x2: px(threshold), y1: box.top, y2: box.bottom }));
    };
    drawThreshold();
  }
  let drawThreshold = () => {};

  function loserItem([place, , score], router) {
    const loser = study.losers[place], item = document.createElement("li");
    const facts = document.createElement("p");
    const group = loser.group === null ? "" : ` · ${loser.group}`;
    facts.textContent = `Row ${fixed(loser.row, 0)}${group} · ${study.strong}: ${fixed(loser.strong, study.quality_digits)} · ${study.weak}: ${fixed(loser.weak, study.quality_digits)} · score ${scoreText(score, router.probability)}`;
    item.append(facts);
    if (loser.prompt !== null) {
      const quote = document.createElement("blockquote");
      quote.dir = "auto";
      quote.textContent = loser.prompt + (loser.n_cut ? ` … (${fixed(loser.n_cut, 0)} more characters)` : "");
      item.append(quote);
    }
    return item;
  }

  function showLosses() {
    const router = chosen(), { losses } = router, nStrong = router.cuts.n_strong[state.cut];
    const missed = losses.missed.filter((entry) => entry[1] > nStrong), wasted = losses.wasted.filter((entry) => entry[1] <= nStrong);
    const nMissed = losses.n_missed[state.cut], nWasted = losses.n_wasted[state.cut];
    const say = (n, to, better) => `${fixed(n, 0)} ${n === 1 ? "prompt" : "prompts"} went to ${to} though ${better} was better${n > N_SHOWN ? `; the ${N_SHOWN} that lost most` : ""}`;
    $("missed-title").textContent = say(nMissed, study.weak, study.strong);
    $("wasted-title").textContent = say(nWasted, study.strong, study.weak);
    $("missed").replaceChildren(...missed.slice(0, N_SHOWN).map((entry) => loserItem(entry, router)));
    $("wasted").replaceChildren(...wasted.slice(0, N_SHOWN).map((entry) => loserItem(entry, router)));
  }

  function moveTo(cut, { keepSlider = false } = {}) {
    const [first, last] = chosen().reachable; // prompts without a score go to one model at any threshold
    state.cut = Math.min(Math.max(cut, first), last);
    cut = state.cut;
    if (!keepSlider) slider.value = Math.round(shareAt(chosen(), cut) * slider.max);
    showNumbers();
    drawCursor();
    drawThreshold();
    showLosses();
  }

  function chooseRouter() {
    const share = shareAt(chosen(), state.cut);
    state.router = Number($("router").value);
    document.querySelectorAll(".router-name").forEach((node) => { node.textContent = chosen().name; });
    drawThreshold = () => {};
    state.cut = nearestCut(chosen(), share);
    drawCurves();
    drawTrust();
    moveTo(state.cut);
  }

  function legendButton(router) {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", router.visible);
    const sample = element("svg", { viewBox: "0 0 34 12", "aria-hidden": "true" });
    addLine(sample, router.style, "M1 6H33");
    if (!router.baseline) addMark(sample, router.style, 17, 6, 3.2);
    const name = document.createElement("bdi");
    name.textContent = router.name;
    button.append(sample, name);
    button.addEventListener("click", () => {
      router.visible = !router.visible;
      button.setAttribute("aria-pressed", router.visible);
      drawCurves();
    });
    item.append(button);
    return item;
  }

  function dragTo(event) {
    const box = $("curve").getBoundingClientRect(), router = chosen(), on = axes(), { across, box: plot } = scales;
    const part = (event.clientX - box.left - plot.left) / (plot.right - plot.left);
    const wanted = across.low + part * (across.high - across.low);
    let best = 0;
    router.cuts.n_strong.forEach((_, k) => { if (Math.abs(on.x(router, k) - wanted) < Math.abs(on.x(router, best) - wanted)) best = k; });
    moveTo(best);
  }

  function listen() {
    slider.addEventListener("input", () => moveTo(nearestCut(chosen(), slider.value / slider.max), { keepSlider: true }));
    $("typed").addEventListener("change", (event) => {
      const text = event.target.value.trim().replace("−", "-"), wanted = Number(text);
      const wrong = text === "" || Number.isNaN(wanted);
      event.target.setAttribute("aria-invalid", wrong && text !== "");
      if (!wrong) moveTo(cutOfThreshold(chosen(), wanted));
    });
    $("router").addEventListener("change", chooseRouter);
    for (const id of ["y-axis", "x-axis", "bands"]) $(id).addEventListener("change", drawCurves);
    $("curve").addEventListener("pointerdown", (event) => { $("curve").setPointerCapture(event.pointerId); dragTo(event); });
    $("curve").addEventListener("pointermove", (event) => { if (event.buttons) dragTo(event); });
    new ResizeObserver(() => { drawCurves(); drawTrust(); }).observe(document.querySelector("main"));
  }

  function start() {
    $("x-choice").hidden = !study.usd;
    document.querySelectorAll(".usd").forEach((node) => { node.hidden = !study.usd; });
    $("y-axis").disabled = study.models_tie;
    if (!study.routers.length) {
      document.querySelectorAll("section.card, section[aria-labelledby=losses-title]").forEach((node) => { node.hidden = true; });
      return;
    }
    $("router").append(...study.routers.map((router, k) => new Option(router.name, k)));
    $("router").value = state.router;
    $("legend").append(...curves.map(legendButton));
    // The first cut that has the headline's share: rounding down could fall short of its promise.
    const first = chosen().cuts.n_strong.findIndex((n) => n / study.n >= study.start.strong_share - 1e-9);
    state.cut = first < 0 ? nearestCut(chosen(), study.start.strong_share) : first;
    chooseRouter();
    listen();
  }
  start();
})();
