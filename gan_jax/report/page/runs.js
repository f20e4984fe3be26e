// The table of runs, a game at a time.

// A table whose columns sort; a column is {title, class, value(row) to sort by,
// cell(row)}.
function sortable(columns, rows, attributes) {
  const body = el('tbody', {});
  const made = rows.map(row => {
    const line = el('tr', {});
    columns.forEach((column, i) => line.append(el(i ? 'td' : 'th',
      {class: column.class, ...(i ? {} : {scope: 'row'}),
        title: column.hint ? column.hint(row) : null}, column.cell(row))));
    return {row, line};
  });
  const heads = columns.map(column => el('th',
    {class: column.class, scope: 'col'},
    el('button', {type: 'button', onclick: () => sort(column)},
      column.title)));
  function sort(column) {
    const head = heads[columns.indexOf(column)];
    const down = head.getAttribute('aria-sort') === 'ascending';
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const sign = down ? -1 : 1;
    // What has no value stays at the end.
    made.sort((a, b) => {
      const [x, y] = [column.value(a.row), column.value(b.row)];
      if (x == null || y == null) return (x == null) - (y == null);
      return sign * (typeof x === 'number' && typeof y === 'number'
        ? x - y : String(x).localeCompare(String(y), 'en', {numeric: true}));
    });
    body.append(...made.map(each => each.line));
  }
  body.append(...made.map(each => each.line));
  const table = el('table', attributes,
    el('thead', {}, el('tr', {}, ...heads)), body);
  return {made, table: el('div', {class: 'scroll', tabindex: '0',
    role: 'region', 'aria-label': 'Table, scrolls'}, table)};
}

function figureColumns(names, of) {
  return names.map(name => {
    const found = row => of(row)[name];
    const means = [];
    const ready = {};
    return {
      title: name.replace('steps_per_second', 'steps/s'),
      prepare: rows => {
        means.push(...rows.map(row => found(row) && found(row).mean));
        ready.format = columnFormat(means);
      },
      value: row => found(row) ? found(row).mean : null,
      hint: row => interval(found(row)),
      cell: row => figure(found(row), ready.format || number),
    };
  });
}

function interval(found) {
  if (!found || found.low == null) return null;
  const failed = found.failed ? `, ${found.failed} failed` : '';
  return `95 % interval ${number(found.low)} to ${number(found.high)}, `
    + `${found.members.length} members${failed}`;
}

// A figure, with half of its 95 % interval where it has one: the longer half,
// where the interval is cut at a bound.
function figure(found, format) {
  if (!found) return '–';
  const text = el('span', {}, format(found.mean));
  if (found.low != null) {
    const half = Math.max(found.high - found.mean, found.mean - found.low);
    text.append(el('span', {class: 'pm'}, ` ± ${format(half)}`));
  }
  if (found.failed) {
    text.append(el('span', {class: 'pm diverged'},
      ` ${found.failed} failed`));
  }
  return text;
}

function stateMark(run) {
  return el('span', {class: `state ${run.state}`}, run.state);
}

function runTable(game) {
  const run = i => DATA.runs[i];
  const names = [...new Set(game.runs.flatMap(i =>
    Object.keys(run(i).figures)))];
  const figures = figureColumns(names, i => run(i).figures);
  const columns = [
    {title: 'run', class: 'name', value: i => run(i).name, cell: i =>
      el('label', {}, el('input', {type: 'checkbox', 'data-on': i, checked: '',
        'aria-label': `show ${run(i).name}`,
        onchange: event => switchRuns([i], event.target.checked)}),
        swatch(i), run(i).name)},
    {title: 'state', class: 'left', value: i => run(i).state,
      cell: i => stateMark(run(i))},
    {title: 'step', value: i => run(i).step, cell: i => whole(run(i).step)},
    ...game.fields.map(name => ({
      title: name, class: 'field',
      value: i => {
        const text = run(i).config[name];
        return text != null && text !== '' && !isNaN(text)
          ? Number(text) : text;
      },
      cell: i => run(i).config[name] ?? '–',
    })),
    ...figures,
  ];
  for (const column of figures) column.prepare(game.runs);
  return sortable(columns, game.runs, {});
}

function seedTable(game) {
  const names = [...new Set(game.seeds.flatMap(group =>
    Object.keys(group.figures)))];
  const figures = figureColumns(names, group => group.figures);
  for (const column of figures) column.prepare(game.seeds);
  const fields = game.fields.filter(name => name !== 'seed');
  return sortable([
    {title: 'runs alike but for their seeds', class: 'name',
      value: group => group.name, cell: group => group.name},
    {title: 'n', value: group => group.members.length,
      cell: group => String(group.members.length)},
    ...fields.map(name => ({title: name, class: 'field',
      value: group => DATA.runs[group.members[0]].config[name],
      cell: group => DATA.runs[group.members[0]].config[name] ?? '–'})),
    ...figures,
  ], game.seeds, {}).table;
}

function switchRuns(runs, on) {
  for (const i of runs) chosen.on[on ? 'add' : 'delete'](i);
  tell('on');
}

function showRuns() {
  if (DATA.runs.length === 1) {
    section('runs', 'Figures', figureTiles(DATA.runs[0].figures));
    return;
  }
  const parts = [], tables = [];
  for (const game of DATA.games) {
    if (DATA.games.length > 1) parts.push(el('h3', {}, game.title));
    const table = runTable(game);
    tables.push(...table.made);
    parts.push(table.table);
    if (game.seeds.length) {
      parts.push(el('p', {class: 'note'}, 'Over seeds: mean ± half of the '
        + '95 % interval.'), seedTable(game));
    }
  }
  const filter = el('input', {type: 'search', placeholder: 'filter runs',
    'aria-label': 'Filter runs by name', oninput: event => {
      const text = event.target.value.toLowerCase();
      for (const {row, line} of tables) {
        line.hidden = !DATA.runs[row].name.toLowerCase().includes(text);
      }
    }});
  const visible = () => tables.filter(each => !each.line.hidden)
    .map(each => each.row);
  const button = (text, on) => el('button', {type: 'button', class: 'plain',
    onclick: () => switchRuns(visible(), on)}, text);
  const controls = DATA.runs.length > 2 ? el('div', {class: 'controls'},
    filter, button('all on', true), button('all off', false)) : null;
  section('runs', 'Runs', controls, ...parts);
  onChange(what => {
    if (what !== 'on') return;
    for (const box of document.querySelectorAll('[data-on]')) {
      box.checked = chosen.on.has(Number(box.dataset.on));
    }
  });
}
