// Curves of the rows against steps, images or seconds.

const GROUPS = [
  ['Figures', name => name.startsWith('eval/')],
  ['Health', name => ['disc/accuracy', 'disc/grad_norm', 'gen/grad_norm',
    'health/loss_ratio'].includes(name)],
  ['Losses and the rest', () => true],
];
const X_TITLES = {step: 'steps', images: 'images', seconds: 'seconds'};

function columnOf(run, name) {
  return run.series.find(columns => name in columns.mean);
}

function abscissa(run, columns) {
  if (chosen.x === 'images') {
    return columns.step.map(step => step * run.samples_per_step);
  }
  return chosen.x === 'seconds' ? columns.seconds : columns.step;
}

// The running mean whose weights fall by `share` a row, without the bias of
// its start.
function smooth(values, share) {
  if (!share) return values;
  let sum = 0, weight = 0;
  return values.map(x => {
    if (x == null) return null;
    sum = share * sum + (1 - share) * x;
    weight = share * weight + (1 - share);
    return sum / weight;
  });
}

function rgba(hex, alpha) {
  const part = i => parseInt(hex.slice(i, i + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
}

function band(x, low, high, i) {
  const common = {x, mode: 'lines', line: {width: 0}, hoverinfo: 'skip'};
  return [{...common, y: low},
    {...common, y: high, fill: 'tonexty', fillcolor: rgba(colour(i), .16)}];
}

function line(x, y, i, name, more) {
  return {x, y, name, mode: y.length > 40 ? 'lines' : 'lines+markers',
    line: {color: colour(i), dash: dash(i), width: 1.6},
    marker: {size: 4, color: colour(i)}, ...more};
}

function runTraces(i, name) {
  const run = DATA.runs[i], columns = columnOf(run, name);
  if (!columns) return [];
  const x = abscissa(run, columns), y = columns.mean[name];
  const share = chosen.smoothing, traces = [];
  if (columns.low[name]) {
    traces.push(...band(x, smooth(columns.low[name], share),
      smooth(columns.high[name], share), i));
  }
  if (share && shown().length <= 6) {
    traces.push(line(x, y, i, run.name, {opacity: .25, mode: 'lines',
      hoverinfo: 'skip'}));
  }
  traces.push(line(x, smooth(y, share), i, run.name));
  return traces;
}

// The mean over seeds and its interval, at the rows that all have.
function seedTraces(group, on, name) {
  const found = on.map(i => [DATA.runs[i], columnOf(DATA.runs[i], name)])
    .filter(([, columns]) => columns);
  if (found.length < 2) return on.flatMap(i => runTraces(i, name));
  const rows = Math.min(...found.map(([, columns]) => columns.step.length));
  const each = found.map(([, columns]) =>
    smooth(columns.mean[name].slice(0, rows), chosen.smoothing));
  const xs = found.map(([run, columns]) => abscissa(run, columns));
  const x = [], mean = [], low = [], high = [];
  const [least, most] = group.bounds[name] ?? [null, null];
  for (let t = 0; t < rows; t++) {
    const values = each.map(y => y[t]).filter(y => y != null);
    const times = xs.map(own => own[t]).filter(time => time != null);
    if (values.length < 2 || !times.length) continue;
    const middle = values.reduce((a, b) => a + b) / values.length;
    const square = values.reduce((a, b) => a + (b - middle) ** 2, 0);
    const error = Math.sqrt(square / (values.length - 1) / values.length);
    const half = group.t[values.length - 2] * error;
    x.push(times.reduce((a, b) => a + b) / times.length);
    mean.push(middle);
    low.push(Math.max(middle - half, least ?? -Infinity));
    high.push(Math.min(middle + half, most ?? Infinity));
  }
  const title = `${found[0][0].name} (mean of ${found.length} seeds)`;
  return [...band(x, low, high, on[0]), line(x, mean, on[0], title)];
}

function traces(name) {
  const left = new Set(shown()), found = [];
  for (const group of chosen.seeds ? DATA.games[chosen.game].seeds : []) {
    const on = group.members.filter(i => left.has(i));
    if (on.length < 2) continue;
    found.push(...seedTraces(group, on, name));
    for (const i of on) left.delete(i);
  }
  for (const i of left) found.push(...runTraces(i, name));
  return found;
}

function drawCurve(holder, name) {
  const many = shown().length > 8;
  Plotly.react(holder, traces(name), layout({
    hovermode: many ? 'closest' : 'x unified',
    xaxis: {title: {text: X_TITLES[chosen.x], standoff: 4,
      font: {size: 11}}, hoverformat: ',.6~g'},
    yaxis: {type: chosen.log ? 'log' : 'linear', hoverformat: '.4g'},
    // Keeps what was zoomed until the axes mean something else.
    uirevision: `${chosen.x} ${chosen.log} ${chosen.game}`,
    shapes: name === 'disc/accuracy' ? [{type: 'line', xref: 'paper', x0: 0,
      x1: 1, y0: .5, y1: .5, line: {width: 1, dash: 'dot', color: '#888'}}] : [],
  }), OPTIONS);
}

function curveGroups(place) {
  forget(place);
  const runs = DATA.games[chosen.game].runs.map(i => DATA.runs[i]);
  let names = [...new Set(runs.flatMap(run =>
    run.series.flatMap(columns => Object.keys(columns.mean))))];
  const made = [];
  for (const [title, belongs] of GROUPS) {
    const own = names.filter(belongs);
    names = names.filter(name => !belongs(name));
    if (!own.length) continue;
    const grid = el('div', {class: 'grid'}, ...own.map(name =>
      el('div', {class: 'card'}, el('h4', {}, name.replace('eval/', '')),
        plot('', `Curves of ${name}`, holder => drawCurve(holder, name)))));
    made.push(el('h3', {id: title === 'Health' ? 'health' : null}, title), grid);
  }
  place.replaceChildren(...made);
}

function chips(place) {
  place.replaceChildren(...DATA.games[chosen.game].runs.map(i => el('button',
    {type: 'button', class: 'chip', 'aria-pressed': String(chosen.on.has(i)),
      onclick: () => switchRuns([i], !chosen.on.has(i))},
    swatch(i), DATA.runs[i].name)));
}

function curveControls() {
  const set = (name, value) => { chosen[name] = value; tell('curves'); };
  const slider = el('input', {type: 'range', min: 0, max: 0.98, step: 0.02,
    value: 0, id: 'smoothing', oninput: event => {
      document.getElementById('smoothed').textContent =
        Number(event.target.value).toFixed(2);
      set('smoothing', Number(event.target.value));
    }});
  const timed = DATA.runs.some(run => run.at_work != null);
  const options = [['step', 'steps'], ['images', 'images']];
  if (timed) options.push(['seconds', 'seconds']);
  const seeds = DATA.games.some(game => game.seeds.length);
  return el('div', {class: 'controls'},
    choice('Horizontal axis', options, 'step', value => set('x', value)),
    checkbox('logarithm', false, value => set('log', value)),
    el('label', {}, 'smoothing', slider,
      el('output', {id: 'smoothed'}, '0.00')),
    seeds ? checkbox('bands over seeds', true, value => set('seeds', value))
      : null);
}

// Which game the curves and samples are of.
function gameChoice() {
  if (DATA.games.length < 2) return null;
  const select = el('select', {'aria-label': 'Game', onchange: event => {
    chosen.game = Number(event.target.value);
    tell('game');
  }}, ...DATA.games.map((game, i) =>
    el('option', {value: i}, `${game.title} (${game.runs.length})`)));
  onChange(what => { if (what === 'game') select.value = chosen.game; });
  return el('label', {}, 'game', select);
}

function showCurves() {
  const place = el('div', {}), buttons = el('div', {class: 'chips'});
  const controls = curveControls();
  const game = gameChoice();
  if (game) controls.prepend(game);
  const untimed = DATA.runs.filter(run => run.at_work == null);
  section('curves', 'Curves', controls,
    DATA.runs.length > 1 ? buttons : null, place,
    el('p', {class: 'note'}, 'Drag to zoom, double-click to go back. Bands '
      + 'are 95 % intervals of the mean (Student’s t).'
      + (untimed.length ? ` ${untimed.length} of ${DATA.runs.length} runs tell `
        + 'no seconds: an older version wrote them.' : '')));
  chips(buttons);
  curveGroups(place);
  onChange(what => {
    if (what === 'on' || what === 'game' || what === 'theme') chips(buttons);
    if (what === 'game') curveGroups(place);
    else redraw(place);
  });
}
