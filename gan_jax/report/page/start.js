// Reads the data, shows the parts, then loads what draws plots.

const THEMES = ['auto', 'light', 'dark'];
let wanted = 'auto';

function applyTheme() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const own = wanted === 'auto' ? (dark ? 'dark' : 'light') : wanted;
  document.documentElement.dataset.theme = own;
  const button = document.getElementById('theme');
  button.textContent = `theme: ${wanted}`;
}

function changeTheme() {
  applyTheme();
  recolour();
  tell('theme');
}

function keep(value) {
  try { localStorage.setItem('gan_jax theme', value); } catch { /* Closed */ }
}

function startTheme() {
  try {
    const kept = localStorage.getItem('gan_jax theme');
    if (THEMES.includes(kept)) wanted = kept;
  } catch { /* Nothing is kept then. */ }
  applyTheme();
  document.getElementById('theme').addEventListener('click', () => {
    wanted = THEMES[(THEMES.indexOf(wanted) + 1) % 3];
    keep(wanted);
    changeTheme();
  });
  matchMedia('(prefers-color-scheme: dark)')
    .addEventListener('change', changeTheme);
}

function about() {
  const count = {};
  for (const run of DATA.runs) count[run.state] = (count[run.state] || 0) + 1;
  const states = Object.entries(count).map(([k, n]) => `${n} ${k}`).join(', ');
  const many = DATA.runs.length, games = DATA.games.length;
  document.getElementById('about').textContent = [
    many === 1 ? DATA.games[0].title : `${many} runs`,
    many === 1 ? DATA.runs[0].state : states,
    games > 1 ? `${games} games` : null,
    `written ${moment(DATA.written)}`,
  ].filter(part => part).join(' · ');
}

function showSkipped() {
  if (!DATA.skipped.length) return;
  document.getElementById('main').append(el('details', {class: 'note'},
    el('summary', {}, `Folders that were skipped: ${DATA.skipped.length}`),
    el('ul', {}, ...DATA.skipped.map(line => el('li', {}, line)))));
}

async function start() {
  startTheme();
  DATA = JSON.parse(await unpack('data'));
  DATA.runs.forEach((_, i) => chosen.on.add(i));
  about();
  showTable();
  if (DATA.runs.length) {
    showRuns();
    showCurves();
    showPictures();
    showDetails();
  }
  showSkipped();
  document.documentElement.dataset.state = 'read';
  const script = document.createElement('script');
  script.textContent = await unpack('plotly');
  document.head.append(script);
  redraw();
  document.documentElement.dataset.state = 'ready';
}

start().catch(error => {
  document.getElementById('main').append(
    el('p', {class: 'note'}, `This page cannot be shown: ${error.message}`));
  throw error;
});
