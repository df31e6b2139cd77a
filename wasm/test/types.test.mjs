/** The declared types fit a program that uses them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

test('a strict TypeScript program compiles', () => {
  const { status, stdout } = spawnSync(process.execPath, [
    path('../node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--noUncheckedIndexedAccess',
    '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom', path('types/consumer.ts'),
  ]);
  assert.equal(status, 0, stdout.toString());
});
