// A table of populations: means with their errors, and a plot a column.

function tableColumns(table) {
  const fixed = (x, digits) => x == null ? '–' : x.toFixed(digits);
  return [
    {title: 'row', class: 'name', value: row => row.title,
      cell: row => row.title},
    {title: 'n', value: row => row.n, cell: row => String(row.n)},
    {title: 'failed', value: row => row.failed, cell: row =>
      row.failed ? el('span', {class: 'diverged'}, String(row.failed)) : '0'},
    ...table.columns.flatMap((column, k) => {
      const theirs = row => row.cells[k].published;
      const own = {
        title: column.title,
        value: row => row.cells[k].mean,
        hint: row => interval(row.cells[k]),
        cell: row => tableCell(row.cells[k], x => fixed(x, column.digits)),
      };
      const published = {title: 'published',
        value: row => theirs(row) ? parseFloat(theirs(row)) : null,
        cell: theirs};
      const known = table.rows.some(theirs);
      return known ? [own, published] : [own];
    }),
  ];
}

// The mean ± its standard error, and of how many where members failed.
function tableCell(cell, format) {
  const text = el('span', {}, format(cell.mean));
  if (cell.stderr != null) {
    text.append(el('span', {class: 'pm'}, ` ± ${format(cell.stderr)}`));
  }
  if (cell.failed) {
    text.append(el('span', {class: 'pm diverged'}, ` (${cell.n})`));
  }
  return text;
}

// Every member as a point, and the mean with its 95 % interval.
function drawColumn(holder, table, k) {
  const c = PALETTE[theme()], rows = [...table.rows].reverse();
  const points = {x: [], y: [], mode: 'markers', name: 'member',
    marker: {size: 6, color: rgba(c[0], .35)}, hovertemplate: '%{x:.4g}'};
  rows.forEach((row, at) => row.cells[k].members.forEach(x => {
    points.x.push(x);
    points.y.push(at - .16);
  }));
  const own = rows.map(row => row.cells[k]);
  const means = {x: own.map(cell => cell.mean), y: rows.map((_, at) => at + .1),
    mode: 'markers', name: 'mean', marker: {size: 8, color: c[0]},
    hovertemplate: '%{x:.4g}', error_x: {type: 'data', symmetric: false,
      array: own.map(cell => cell.high == null ? 0 : cell.high - cell.mean),
      arrayminus: own.map(cell => cell.low == null ? 0 : cell.mean - cell.low),
      color: c[0], thickness: 1.5, width: 4}};
  Plotly.react(holder, [points, means], layout({
    hovermode: 'closest',
    margin: {l: 10, r: 14, t: 6, b: 28},
    yaxis: {tickvals: rows.map((_, at) => at), showgrid: false,
      ticktext: rows.map(row => row.title), range: [-.6, rows.length - .4]},
  }), OPTIONS);
}

function showTable() {
  const table = DATA.table;
  if (!table) return;
  const size = `height:${Math.max(200, 60 + 26 * table.rows.length)}px`;
  const plots = el('div', {class: 'grid'}, ...table.columns.map((column, k) => {
    const holder = plot('', `${column.title} of all rows`,
      place => drawColumn(place, table, k));
    holder.style = size;
    return el('div', {class: 'card'}, el('h4', {}, column.title), holder);
  }));
  const compared = table.compared.length ? [
    el('h3', {}, 'Comparisons'),
    el('ul', {class: 'history'}, ...table.compared.map(line =>
      el('li', {}, line))),
    el('p', {class: 'note'}, 'The difference of the means, its 95 % interval '
      + '(Welch’s t), and p of a permutation test.'),
  ] : [];
  section('table', 'Table', sortable(tableColumns(table), table.rows, {}).table,
    el('p', {class: 'note'}, 'Mean ± standard error of n members, or of as '
      + `many as (in brackets) have a finite value. ${table.note}`),
    ...table.parts.flatMap(part => [el('h3', {}, part.title),
      sortable(tableColumns(part), part.rows, {}).table]), ...compared,
    el('h3', {}, 'Members, means and 95 % intervals'), plots,
    el('h3', {}, 'Repeat this table'), code(table.command));
  onChange(what => { if (what === 'theme') redraw(plots); });
}
