/**
 * Builds both variants of the module into `pkg/`, and the models that the tests run into
 * `test/fixtures/`; with `--modules`, only the former.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** No operator recurses, so a small stack serves; it is part of the module's first memory. */
const LINK = '-C link-arg=-zstack-size=131072';

const VARIANTS = [
  { file: 'modelopt.wasm', flags: LINK },
  { file: 'modelopt.simd.wasm', flags: `${LINK} -C target-feature=+simd128` },
];

function cargo(args, flags) {
  const env = { ...process.env };
  if (flags !== undefined) {
    // These would win over the target's own flags, and the variants would be the same.
    delete env.RUSTFLAGS;
    delete env.CARGO_ENCODED_RUSTFLAGS;
    env.CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS = flags;
  }
  const options = { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 };
  const { status, stdout, error } = spawnSync('cargo', args, options);
  if (error) throw new Error(`cargo cannot be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
  return stdout.toString();
}

/** The module of this name that cargo says it made. */
function modulePath(messages, name) {
  const artifacts = messages.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const files = artifacts.flatMap((artifact) => artifact.filenames ?? []);
  return files.find((file) => file.endsWith(`${name}.wasm`));
}

mkdirSync(`${folder}pkg`, { recursive: true });
for (const { file, flags } of VARIANTS) {
  const messages = cargo([
    'build', '--package', 'modelopt-wasm', '--lib', '--target', 'wasm32-unknown-unknown',
    '--profile', 'wasm', '--message-format', 'json-render-diagnostics', '--quiet',
  ], flags);
  copyFileSync(modulePath(messages, 'modelopt_wasm'), `${folder}pkg/${file}`);
  const bytes = readFileSync(`${folder}pkg/${file}`);
  console.log(`pkg/${file}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} compressed`);
}
if (process.argv.includes('--modules')) process.exit();

process.stdout.write(cargo(['run', '--quiet', '--package', 'modelopt-wasm', '--example', 'fixtures', '--', `${folder}test/fixtures`]));
// The demonstration's model is one of them.
copyFileSync(`${folder}test/fixtures/digits.mopt`, `${folder}demo/digits.mopt`);

// Kernels against kernels, for the tests.
const messages = cargo([
  'build', '--package', 'modelopt-kernels', '--example', 'self_test', '--features', 'self-test',
  '--target', 'wasm32-unknown-unknown', '--profile', 'wasm', '--message-format', 'json-render-diagnostics', '--quiet',
], VARIANTS[1].flags);
copyFileSync(modulePath(messages, 'self_test'), `${folder}test/fixtures/self_test.wasm`);
