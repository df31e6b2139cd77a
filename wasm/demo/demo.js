/** The demonstration: draws on 8 x 8 cells, and asks a model in a worker. */
import { connect } from '../js/index.js';

const CELLS = 8;
/** The largest value of a cell in the data that the model was trained on. */
const FULL = 16;

/** A digit 3 of the test data. */
const SAMPLE = [
  0, 0, 7, 15, 13, 1, 0, 0, 0, 8, 13, 6, 15, 4, 0, 0, 0, 2, 1, 13, 13, 0, 0, 0, 0, 0, 2, 15, 11, 1, 0, 0,
  0, 0, 0, 1, 12, 12, 1, 0, 0, 0, 0, 0, 1, 10, 8, 0, 0, 0, 8, 4, 5, 14, 9, 0, 0, 0, 7, 13, 13, 9, 0, 0,
];

const element = (id) => document.getElementById(id);
const pad = element('pad');
const cells = new Float32Array(CELLS * CELLS);
const cursor = { x: 3, y: 3, isShown: false };

const { Model } = connect(new Worker(new URL('../js/worker.js', import.meta.url), { type: 'module' }));
let model;

const isDigits = () => model?.inputs.length === 1 && model.inputs[0].shape.reduce((a, b) => a * b, 1) === cells.length;

function paint() {
  const context = pad.getContext('2d');
  const size = pad.width / CELLS;
  const style = getComputedStyle(document.documentElement);
  context.fillStyle = style.getPropertyValue('--paper');
  context.fillRect(0, 0, pad.width, pad.height);
  context.fillStyle = style.getPropertyValue('--ink');
  cells.forEach((value, index) => {
    context.globalAlpha = value / FULL;
    context.fillRect((index % CELLS) * size, Math.floor(index / CELLS) * size, size, size);
  });
  context.globalAlpha = 1;
  context.strokeStyle = style.getPropertyValue('--line');
  for (let line = 1; line < CELLS; line += 1) {
    context.strokeRect(line * size, -1, 0, pad.height + 2);
    context.strokeRect(-1, line * size, pad.width + 2, 0);
  }
  if (cursor.isShown) {
    context.strokeStyle = style.getPropertyValue('--tone');
    context.lineWidth = 3;
    context.strokeRect(cursor.x * size + 2, cursor.y * size + 2, size - 4, size - 4);
    context.lineWidth = 1;
  }
}

function showAnswer(classes) {
  const [best] = classes;
  element('best').textContent = `${best.label}, ${(best.probability * 100).toFixed(1)} %`;
  const rows = [...classes].sort((a, b) => a.index - b.index).slice(0, 20).map(({ label, probability }) => {
    const row = document.createElement('li');
    const name = document.createElement('span');
    name.textContent = label;
    const meter = document.createElement('meter');
    meter.value = probability;
    meter.setAttribute('aria-label', label);
    const share = document.createElement('span');
    share.className = 'share';
    share.textContent = `${(probability * 100).toFixed(1)} %`;
    row.append(name, meter, share);
    return row;
  });
  element('bars').replaceChildren(...rows);
}

function clearAnswer(text) {
  element('best').textContent = text;
  element('bars').replaceChildren();
}

/** One question at a time; the last drawing is always asked about. */
let isAsking = false;
let isStale = false;
async function ask() {
  paint();
  if (!isDigits()) return;
  if (isAsking) {
    isStale = true;
    return;
  }
  isAsking = true;
  do {
    isStale = false;
    if (cells.every((value) => value === 0)) {
      clearAnswer('Draw, or show a sample.');
    } else {
      showAnswer(await model.classify(await model.preprocess(cells)));
    }
  } while (isStale);
  isAsking = false;
}

/** Ink in a cell, and some in those beside it. */
function draw(x, y) {
  for (let dy = -1; dy <= 1; dy += 1) {
    for (let dx = -1; dx <= 1; dx += 1) {
      const [cx, cy] = [x + dx, y + dy];
      if (cx < 0 || cy < 0 || cx >= CELLS || cy >= CELLS) continue;
      const ink = dx === 0 && dy === 0 ? FULL : (dx === 0 || dy === 0) * 3;
      cells[cy * CELLS + cx] = Math.min(FULL, Math.max(cells[cy * CELLS + cx], cells[cy * CELLS + cx] + ink));
    }
  }
  ask();
}

let last;
function drawAt(event) {
  const box = pad.getBoundingClientRect();
  const place = (offset, size) => Math.min(CELLS - 1, Math.max(0, Math.floor((offset / size) * CELLS)));
  const [x, y] = [place(event.clientX - box.left, box.width), place(event.clientY - box.top, box.height)];
  if (last === `${x},${y}`) return;
  last = `${x},${y}`;
  draw(x, y);
}

pad.addEventListener('pointerdown', (event) => {
  pad.setPointerCapture(event.pointerId);
  cursor.isShown = false;
  last = undefined;
  drawAt(event);
});
pad.addEventListener('pointermove', (event) => {
  if (event.buttons) drawAt(event);
});
pad.addEventListener('keydown', (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const step = steps[event.key];
  if (!step && ![' ', 'Delete'].includes(event.key)) return;
  event.preventDefault();
  cursor.isShown = true;
  if (step) {
    cursor.x = Math.min(CELLS - 1, Math.max(0, cursor.x + step[0]));
    cursor.y = Math.min(CELLS - 1, Math.max(0, cursor.y + step[1]));
    paint();
  } else if (event.key === ' ') draw(cursor.x, cursor.y);
  else element('clear').click();
});
element('clear').addEventListener('click', () => {
  cells.fill(0);
  ask();
});
element('sample').addEventListener('click', () => {
  cells.set(SAMPLE);
  ask();
});

function showModel() {
  const ports = (list) => list.map(({ name, shape, dtype }) => `${name} [${shape.join(', ')}] ${dtype}`).join('; ');
  const facts = {
    File: `${model.bytes.toLocaleString('en')} bytes`,
    'Working memory': `${model.ramBytes.toLocaleString('en')} bytes`,
    Kernels: model.kernels,
    Operators: String(model.nodes),
    Inputs: ports(model.inputs),
    Outputs: ports(model.outputs),
    'Made by': [model.manifest.tool, model.manifest.recipe].filter(Boolean).join(': '),
  };
  element('facts').replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => {
    const [term, description] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  }));
  element('size').textContent = `${(model.bytes / 1000).toFixed(1)} kB`;
}

async function use(source) {
  try {
    const loaded = await Model.load(source);
    await model?.dispose();
    model = loaded;
    element('problem').textContent = '';
    showModel();
    if (isDigits()) await ask();
    else clearAnswer('The drawing pad is for models of 8 x 8 images.');
  } catch (error) {
    element('problem').textContent = error.message;
  }
}

element('file').addEventListener('change', async ({ target }) => {
  const [file] = target.files;
  if (file) await use(await file.arrayBuffer());
});

paint();
await use(new URL('digits.mopt', import.meta.url).href);
document.body.dataset.ready = 'true';
