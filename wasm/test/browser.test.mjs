/** The package and its demonstration in Chromium. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from '../demo/serve.mjs';

const CHROMIUM = '/usr/bin/chromium';
const OUT = fileURLToPath(new URL('../out/', import.meta.url));
const isThere = existsSync(CHROMIUM);
if (!isThere) console.log(`skipped: ${CHROMIUM} is missing`);
const cases = (name) => JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url)));

let browser;
let site;

before(async () => {
  if (!isThere) return;
  mkdirSync(OUT, { recursive: true });
  site = await serve();
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
  });
});

after(async () => {
  await browser?.close();
  site?.server.close();
});

/** The demonstration, ready; anything that goes wrong on it fails the test. */
async function open(options = {}) {
  const page = await browser.newPage({ viewport: { width: 900, height: 760 }, ...options });
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(site.address);
  await page.waitForSelector('body[data-ready]');
  return { page, problems };
}

for (const wasm of ['modelopt.wasm', 'modelopt.simd.wasm']) {
  for (const name of ['int8_high', 'digits']) {
    test(`${name} gives the host's bits in Chromium with ${wasm}`, { skip: !isThere }, async () => {
      const { page, problems } = await open();
      const answers = await page.evaluate(async ([module, model, inputs]) => {
        const { Model, init } = await import('/js/index.js');
        await init({ wasm: new URL(`/pkg/${module}`, location.href) });
        const loaded = await Model.load(`/test/fixtures/${model}.mopt`);
        return inputs.map((sample) => {
          const floats = Object.fromEntries(Object.entries(sample).map(([key, values]) => [key, Float32Array.from(values)]));
          return Object.fromEntries(Object.entries(loaded.runQuantized(floats)).map(([key, values]) => [key, Array.from(values)]));
        });
      }, [wasm, name, cases(name).map(({ inputs }) => inputs)]);
      assert.deepEqual(answers, cases(name).map(({ stored }) => stored));
      assert.deepEqual(problems, []);
      await page.close();
    });
  }
}

test('the demonstration recognizes a sample, a drawing, and says what is wrong with a file', { skip: !isThere }, async () => {
  const { page, problems } = await open();
  await page.click('#sample');
  await page.waitForFunction(() => document.querySelector('#best').textContent.startsWith('3,'));
  assert.equal(await page.locator('#bars li').count(), 10);
  await page.screenshot({ path: `${OUT}demo-light.png` });
  await page.click('#clear');
  await page.waitForFunction(() => document.querySelector('#best').textContent.startsWith('Draw'));
  await page.focus('#pad');
  for (const key of ['ArrowUp', 'ArrowUp', ' ', 'ArrowDown', ' ', 'ArrowDown', ' ', 'ArrowDown', ' ', 'ArrowDown', ' ']) await page.keyboard.press(key);
  await page.waitForSelector('#bars li');
  await page.setInputFiles('#file', { name: 'x.mopt', mimeType: 'application/octet-stream', buffer: Buffer.from('no model') });
  await page.waitForFunction(() => document.querySelector('#problem').textContent.includes('compact model'));
  assert.deepEqual(problems, []);
  await page.close();
});

test('the demonstration is readable in the dark and on a telephone', { skip: !isThere }, async () => {
  const { page, problems } = await open({ colorScheme: 'dark', viewport: { width: 390, height: 900 } });
  await page.click('#sample');
  await page.waitForSelector('#bars li');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${overflow} pixels stick out`);
  await page.screenshot({ path: `${OUT}demo-dark.png`, fullPage: true });
  assert.deepEqual(problems, []);
  await page.close();
});
