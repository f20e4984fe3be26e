// Samples and the figures of small games at one moment, run beside run.

const MOST = 6;

function kindOf(run) {
  return ['grids', 'curves', 'clouds', 'paths'].filter(k => k in run.pictures);
}

// The last moment that is not after the step, or the first.
function at(moments, step) {
  return moments.filter(m => m.step <= step).at(-1) || moments[0];
}

function pictured() {
  return shown().filter(i => kindOf(DATA.runs[i]).length);
}

function stepsOf(runs) {
  const steps = runs.flatMap(i => kindOf(DATA.runs[i]).flatMap(kind =>
    DATA.runs[i].pictures[kind].moments.map(m => m.step)));
  return [...new Set(steps)].sort((a, b) => a - b);
}

function drawGame(holder, run, step) {
  const m = at(run.pictures.curves.moments, step);
  const c = PALETTE[theme()];
  const peak = 1.6 * Math.max(...m.data);
  const trace = (y, name, colour, more) => ({x: m.x, y, name, mode: 'lines',
    line: {color: colour, width: 1.6, ...more}});
  const text = getComputedStyle(document.body).color;
  Plotly.react(holder, [
    trace(m.data, 'data', text, {dash: 'dot'}),
    trace(m.generated, 'generated', c[2]),
    {...trace(m.disc, 'D(x)', c[0], {dash: 'dash'}), yaxis: 'y2'},
    {...trace(m.optimal, 'D*(x)', c[1], {width: 1}), yaxis: 'y2'},
    {...trace(m.gen_loss, 'loss of G', c[0]), yaxis: 'y3', showlegend: false},
  ], layout({
    hovermode: 'x unified', showlegend: true,
    legend: {orientation: 'h', yanchor: 'bottom', y: 1.02, x: 0,
      font: {size: 10}, entrywidth: 62},
    margin: {l: 40, r: 30, t: 44, b: 26},
    xaxis: {range: [m.x[0], m.x.at(-1)], anchor: 'y3', hoverformat: '.3g'},
    yaxis: {range: [0, peak], domain: [.36, 1], hoverformat: '.3g'},
    yaxis2: {overlaying: 'y', side: 'right', range: [0, 1], showgrid: false,
      tickvals: [0, .5, 1], ticktext: ['0', '0.5', '1'], hoverformat: '.3g'},
    yaxis3: {domain: [0, .27], title: {text: 'loss of G', font: {size: 10}},
      gridcolor: 'rgba(128,128,128,.2)', zeroline: false, nticks: 4,
      range: lossRange(run), hoverformat: '.3g'},
  }), OPTIONS);
}

// The same for all moments, without the tails that are far off.
function lossRange(run) {
  const all = run.pictures.curves.moments.flatMap(m => m.gen_loss)
    .filter(x => x != null).sort((a, b) => a - b);
  if (!all.length) return [0, 1];
  const low = all[Math.floor(.1 * all.length)];
  const high = all[Math.floor(.9 * (all.length - 1))];
  const margin = Math.max(.1, .2 * (high - low));
  return [low - margin, high + margin];
}

function drawCloud(holder, run, step) {
  const m = at(run.pictures.clouds.moments, step);
  const text = getComputedStyle(document.body).color;
  const points = ([x, y], name, colour) => ({x, y, name, mode: 'markers',
    marker: {size: 3, color: colour, opacity: .65}, hoverinfo: 'name'});
  const shades = {x: m.x, y: m.y, z: m.disc, type: 'contour', name: 'D',
    contours: {coloring: 'fill', showlines: false}, ncontours: 12,
    colorscale: theme() === 'dark'
      ? [[0, '#27406e'], [.5, '#23282e'], [1, '#6e3430']]
      : [[0, '#c5d6f5'], [.5, '#f7f7f6'], [1, '#f6cfc8']],
    showscale: false, hovertemplate: 'D %{z:.3g}<extra></extra>'};
  Plotly.react(holder, [shades, points(m.real, 'data', text),
    points(m.generated, 'generated', PALETTE[theme()][2])], layout({
    showlegend: true,
    legend: {orientation: 'h', y: 1.1, x: 0, font: {size: 10},
      itemsizing: 'constant'},
    margin: {l: 30, r: 8, t: 24, b: 24},
    xaxis: {range: [m.x[0], m.x.at(-1)], constrain: 'domain'},
    yaxis: {range: [m.y[0], m.y.at(-1)], scaleanchor: 'x'},
  }), OPTIONS);
}

function drawPath(holder, run, step) {
  const m = at(run.pictures.paths.moments, step), c = PALETTE[theme()][0];
  const mean = m.t.map((_, k) => {
    const found = m.logits.map(row => row[k]).filter(x => x != null);
    return found.reduce((a, b) => a + b, 0) / Math.max(found.length, 1);
  });
  const all = run.pictures.paths.moments.flatMap(o => o.logits.flat())
    .filter(x => x != null);
  const low = Math.min(-.25, ...all), high = Math.max(.25, ...all);
  const gap = .05 * (high - low);
  Plotly.react(holder, [
    ...m.logits.map(y => ({x: m.t, y, mode: 'lines', hoverinfo: 'skip',
      line: {color: rgba(c, .35), width: 1}})),
    {x: m.t, y: mean, mode: 'lines', name: 'mean', line: {color: c, width: 2.4}},
  ], layout({
    xaxis: {tickvals: [0, 1], ticktext: ['real', 'generated'],
      range: [-.06, 1.08]},
    yaxis: {title: {text: 'logit of D'}, range: [low - gap, high + gap],
      hoverformat: '.3g'},
    margin: {l: 44, r: 26, t: 6, b: 24},
  }), OPTIONS);
}

const DRAW = {curves: [drawGame, 'tall'], clouds: [drawCloud, 'tall'],
  paths: [drawPath, 'low']};
const TOLD = {curves: 'Densities and D', clouds: 'Points and D',
  paths: 'D between real and generated images'};

function pictureCard(i, step) {
  const run = DATA.runs[i], when = el('span', {class: 'quiet'});
  const card = el('div', {class: 'card'},
    el('h4', {}, swatch(i), run.name, when));
  let picture = null, now = step;
  for (const kind of kindOf(run)) {
    if (kind === 'grids') {
      picture = el('img', {alt: `Samples of ${run.name}`});
      card.append(picture);
    } else {
      const [draw, size] = DRAW[kind];
      card.append(plot(size, `${TOLD[kind]}, ${run.name}`,
        holder => draw(holder, run, now)));
    }
  }
  const show = to => {
    now = to;
    const kind = kindOf(run)[0];
    const m = at(run.pictures[kind].moments, to);
    when.textContent = `step ${whole(m.step)}`
      + (m.ks == null ? '' : `, KS ${number(m.ks)}`);
    if (picture) picture.src = m.image;
    redraw(card);
  };
  show(step);
  return {card, show};
}

function reduced(runs) {
  const told = new Set();
  for (const run of runs.map(i => DATA.runs[i])) {
    for (const kind of kindOf(run)) {
      const {moments, of, side} = run.pictures[kind];
      if (moments.length < of) {
        told.add(`${moments.length} of ${of} moments a run are shown`);
      }
      if (side) told.add(`grids are reduced to ${side} pixels`);
    }
  }
  return [...told];
}

function showPictures() {
  if (!DATA.runs.some(run => kindOf(run).length)) return;
  const grid = el('div', {class: 'grid'}), note = el('p', {class: 'note'});
  const output = el('output', {}), none = el('p', {class: 'note'});
  const slider = el('input', {type: 'range', id: 'moment', min: 0, step: 1,
    'aria-label': 'Step of the samples'});
  let steps = [], cards = [];
  const move = () => {
    const step = steps[slider.value] ?? 0;
    output.textContent = `step ${whole(step)}`;
    slider.setAttribute('aria-valuetext', output.textContent);
    for (const card of cards) card.show(step);
  };
  const rebuild = () => {
    const all = pictured(), runs = all.slice(0, MOST);
    const before = steps[slider.value];
    forget(grid);
    steps = stepsOf(runs);
    slider.max = Math.max(0, steps.length - 1);
    const kept = steps.indexOf(before);
    slider.value = kept < 0 ? slider.max : kept;
    cards = runs.map(i => pictureCard(i, steps.at(-1)));
    grid.replaceChildren(...cards.map(each => each.card));
    const cut = all.length > MOST ? [`the first ${MOST} of ${all.length} runs `
      + 'that are on; switch some off to see others'] : [];
    const words = [...cut, ...reduced(runs)].join('; ');
    note.textContent = words && `${words[0].toUpperCase()}${words.slice(1)}.`;
    none.textContent = runs.length ? ''
      : 'None of the runs that are on keeps pictures; populations have none.';
    move();
  };
  slider.addEventListener('input', move);
  section('samples', 'Samples', el('div', {class: 'controls'},
    gameChoice(), el('div', {class: 'slider'}, slider, output)),
  grid, none, note);
  rebuild();
  onChange(what => {
    if (what === 'on' || what === 'game') rebuild();
    if (what === 'theme') redraw(grid);
  });
}
