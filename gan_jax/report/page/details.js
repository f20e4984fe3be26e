// What made a run, what happened to it, and how to repeat it.

const EVENTS = {
  start: e => e.step ? `went on from step ${whole(e.step)}` : 'started',
  stop: e => `was asked to stop at step ${whole(e.step)}`,
  finish: e => `finished at step ${whole(e.step)}`,
  drop: e => `after step ${whole(e.step)} the better settings go on, by `
    + `${e.by}; dropped: ${e.settings.join('; ')}`,
  diverge: e => `diverged: ${e.why}`,
  damaged: e => `the checkpoint of step ${whole(e.step)} was damaged `
    + `(${e.why}) and put aside as damaged/${e.now}`,
};

function facts(pairs) {
  const list = el('dl', {class: 'facts'});
  for (const [name, value] of pairs) {
    if (value == null || value === '') continue;
    list.append(el('dt', {}, name), el('dd', {}, value));
  }
  return list;
}

// Any value of a stamp, in a line.
function plain(value) {
  if (value == null) return 'none';
  if (Array.isArray(value)) {
    const text = value.slice(0, 12).map(plain).join(', ');
    return value.length > 12 ? `${text}, … (${value.length})` : text;
  }
  if (typeof value === 'object') {
    return Object.entries(value).map(([k, v]) => `${k} ${plain(v)}`).join(', ');
  }
  if (typeof value === 'number' && !Number.isInteger(value)) {
    return String(Number(value.toPrecision(6)));
  }
  return String(value);
}

function stamp(value) {
  return facts(Object.entries(value || {}).map(([k, v]) => [k, plain(v)]));
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea', {});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  button.textContent = 'copied';
  setTimeout(() => { button.textContent = 'copy'; }, 1500);
}

function code(text) {
  const button = el('button', {type: 'button', class: 'plain',
    'aria-label': 'Copy the command'}, 'copy');
  button.addEventListener('click', () => copy(text, button));
  return el('div', {class: 'code'}, el('pre', {tabindex: '0'}, text), button);
}

function figureTiles(figures) {
  return el('dl', {class: 'figures'}, ...Object.entries(figures).map(
    ([name, found]) => el('div', {title: interval(found)},
      el('dt', {}, name.replaceAll('_', ' ')),
      el('dd', {}, figure(found, number)))));
}

function historyList(run) {
  if (!run.events.length) {
    return el('p', {class: 'note'},
      'An older version wrote this run, which told no times.');
  }
  return el('ol', {class: 'history'}, ...run.events.map(event => el('li', {},
    el('time', {}, moment(event.time)),
    (EVENTS[event.event] || (() => event.event))(event))));
}

function evaluationParts(run) {
  return run.evaluations.flatMap((each, i) => [
    el('h3', {}, `Evaluation ${i + 1}, of step ${whole(each.stamp?.step ?? 0)}`),
    figureTiles(Object.fromEntries(Object.entries(each.figures || {})
      .map(([name, value]) => [name, {mean: value}]))),
    el('details', {}, el('summary', {class: 'note'}, 'the whole stamp'),
      stamp(each.stamp)),
  ]);
}

function provenance(run) {
  const last = run.sessions.at(-1) || {};
  const commits = [...new Set(run.sessions.map(s => s.commit || 'unknown'))];
  return facts([
    ['commit', commits.join(', then ')],
    ['sessions made alike', String(run.sessions.length)],
    ['devices', plain(last.devices)],
    ['python', last.python],
    ['versions', plain(last.versions)],
    ['XLA flags', last.xla_flags],
    ['stock', String(last.stock)],
    ['data', plain(run.data)],
    ['checkpoints', run.checkpoints.map(whole).join(', ') || 'none'],
    ['damaged checkpoints', run.damaged.join(', ') || 'none'],
    ['time at work', duration(run.at_work)],
    ['rows', whole(run.rows)],
  ]);
}

function repeat(run) {
  const commit = (run.sessions[0] || {}).commit;
  const dirty = commit && commit.endsWith('-dirty');
  const clean = commit && commit.replace('-dirty', '');
  const lines = clean ? `git checkout ${clean}\n${run.command}` : run.command;
  return [code(lines), dirty ? el('p', {class: 'note'}, 'The code had changes '
    + 'that were not committed, so this may not be all of it.') : null];
}

function fill(run, place) {
  place.append(...[
    ...(DATA.runs.length > 1
      ? [el('h3', {}, 'Figures'), figureTiles(run.figures)] : []),
    el('h3', {}, 'Repeat this run'), ...repeat(run),
    el('h3', {}, 'History'), historyList(run),
    ...evaluationParts(run),
    el('h3', {}, 'Provenance'), provenance(run),
    ...(run.protocol ? [el('h3', {}, 'Protocol of the figures in training'),
      stamp(run.protocol)] : []),
  ].filter(part => part));
}

function showDetails() {
  const runs = DATA.runs.map((run, i) => {
    const inside = el('div', {});
    const made = el('details', {class: 'run'}, el('summary', {}, swatch(i),
      run.name, stateMark(run), el('span', {class: 'quiet'},
        `step ${whole(run.step)} of ${whole(run.steps)}`)), inside);
    // Filled when it is first opened: forty runs are many elements.
    made.addEventListener('toggle', () => {
      if (!inside.childElementCount) fill(run, inside);
    });
    if (DATA.runs.length === 1) made.open = true;
    return made;
  });
  section('details', runs.length === 1 ? 'The run' : 'Each run', ...runs);
}
