// What all parts of the page use: the data, elements, numbers, colours.

const PALETTE = {
  light: ['#2f62c4', '#d1670f', '#2a8a57', '#b8324f', '#7a55b5', '#8a6a3f',
    '#c2559d', '#5f6b76', '#8f9418', '#1893a6'],
  dark: ['#86acf5', '#f2a65a', '#67c991', '#f0839a', '#b99af0', '#cdab7d',
    '#eb96cb', '#aab4bf', '#c9cd5a', '#5fcadb'],
};
const DASHES = ['solid', 'dash', 'dot', 'dashdot'];

let DATA = null;
// What the reader has chosen.
const chosen = {
  game: 0, on: new Set(), x: 'step', log: false, smoothing: 0, seeds: true,
};
const listeners = [];

// Calls `changed(what)` whenever the reader chooses something else.
function onChange(changed) { listeners.push(changed); }
function tell(what) { for (const changed of listeners) changed(what); }

async function unpack(id) {
  const holder = document.getElementById(id);
  const bytes = Uint8Array.from(atob(holder.textContent), c => c.charCodeAt(0));
  holder.remove();
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).text();
}

// An element: el('td', {class: 'name'}, 'text', child, ...).
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child != null));
  return made;
}

function section(id, title, ...children) {
  document.getElementById('sections').append(
    el('a', {href: `#${id}`}, title));
  const made = el('section', {id, 'aria-label': title},
    el('h2', {}, title), ...children);
  document.getElementById('main').append(made);
  return made;
}

function whole(x) { return Math.round(x).toLocaleString('en'); }

// A number on its own: four digits.
function number(x) {
  if (x == null) return '–';
  if (x === 0 || (Number.isInteger(x) && Math.abs(x) < 1e9)) return whole(x);
  const size = Math.abs(x);
  if (size < 1e-3 || size >= 1e7) return x.toExponential(2);
  if (size >= 1000) return whole(x);
  return x.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size))));
}

// Formats the numbers of a column so that their points stand below each other.
function columnFormat(values) {
  const found = values.filter(x => x != null && x !== 0).map(Math.abs);
  if (!found.length) return number;
  const most = Math.max(...found), least = Math.min(...found);
  if (values.every(x => x == null || Number.isInteger(x))) return number;
  if (most >= 1e6 || most < 1e-3 || most / least > 1e5) {
    return x => x == null ? '–' : x.toExponential(2);
  }
  const digits = Math.min(5, Math.max(0, 3 - Math.floor(Math.log10(most))));
  return x => x == null ? '–' : x.toLocaleString('en',
    {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

function duration(seconds) {
  if (seconds == null) return '–';
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function moment(time) {
  const at = new Date(time * 1000);
  const two = x => String(x).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} `
    + `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function theme() { return document.documentElement.dataset.theme; }
function gameOf(i) { return DATA.games.find(game => game.runs.includes(i)); }
function colour(i) {
  const at = gameOf(i).runs.indexOf(i);
  return PALETTE[theme()][at % 10];
}
function dash(i) {
  const at = gameOf(i).runs.indexOf(i);
  return DASHES[Math.floor(at / 10) % 4];
}
function swatch(i) {
  const kind = {solid: '', dash: 'dash', dot: 'dot', dashdot: 'dash'}[dash(i)];
  return el('span', {class: `swatch ${kind}`, style: `color:${colour(i)}`,
    'data-run': i, 'aria-hidden': 'true'});
}
function recolour() {
  for (const mark of document.querySelectorAll('.swatch[data-run]')) {
    mark.style.color = colour(Number(mark.dataset.run));
  }
}

// Buttons of which one is pressed; `options` is [[value, text], ...].
function choice(label, options, value, choose) {
  const group = el('span', {class: 'choice', role: 'group', 'aria-label': label});
  for (const [own, text] of options) {
    group.append(el('button', {type: 'button', 'data-value': own,
      'aria-pressed': String(own === value),
      onclick: event => {
        for (const other of group.children) {
          other.setAttribute('aria-pressed', String(other === event.target));
        }
        choose(own);
      }}, text));
  }
  return group;
}

function checkbox(text, value, choose, attributes) {
  return el('label', {}, el('input', {type: 'checkbox', ...attributes,
    ...(value ? {checked: ''} : {}),
    onchange: event => choose(event.target.checked)}), text);
}

// The runs of the chosen game that are on.
function shown() {
  return DATA.games[chosen.game].runs.filter(i => chosen.on.has(i));
}

function layout(more) {
  const style = getComputedStyle(document.documentElement);
  const get = name => style.getPropertyValue(name).trim();
  const axis = {gridcolor: get('--line'), zerolinecolor: get('--line'),
    linecolor: get('--line'), automargin: true, zeroline: false};
  return {
    font: {family: getComputedStyle(document.body).fontFamily, size: 11,
      color: get('--quiet')},
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    margin: {l: 44, r: 10, t: 8, b: 34}, showlegend: false,
    hoverlabel: {bgcolor: get('--card'), bordercolor: get('--line'),
      font: {color: get('--text'), size: 12}, namelength: -1, align: 'left'},
    ...more,
    xaxis: {...axis, ...(more && more.xaxis)},
    yaxis: {...axis, ...(more && more.yaxis)},
  };
}
const OPTIONS = {responsive: true, displaylogo: false,
  displayModeBar: false, doubleClick: 'reset+autosize'};

// Plots are drawn when they come into view, and again only while they are.
const drawings = new Map();
const inView = new IntersectionObserver(found => {
  for (const {target, isIntersecting} of found) {
    const drawing = drawings.get(target);
    drawing.visible = isIntersecting;
    refresh(drawing);
  }
}, {rootMargin: '150px'});
function refresh(drawing) {
  if (!drawing.visible || !drawing.stale || !window.Plotly) return;
  drawing.stale = false;
  drawing.draw(drawing.place);
}
function plot(kind, label, draw) {
  const holder = el('div', {class: `plot ${kind}`, role: 'img',
    'aria-label': label});
  drawings.set(holder, {draw, place: holder, stale: true, visible: false});
  inView.observe(holder);
  return holder;
}
function redraw(within) {
  for (const [holder, drawing] of drawings) {
    if (within && !within.contains(holder)) continue;
    drawing.stale = true;
    refresh(drawing);
  }
}
function forget(within) {
  for (const holder of within.querySelectorAll('.plot')) {
    inView.unobserve(holder);
    drawings.delete(holder);
    if (window.Plotly) Plotly.purge(holder);
  }
}
