// Runs Relay's compiler here, and says what it said.
import { spawnSync } from 'node:child_process';
const run = spawnSync('node_modules/.bin/relay-compiler', ['--repersist', 'relay.config.json'], { encoding: 'utf8' });
console.log(JSON.stringify({ status: run.status, said: run.stdout + run.stderr }));
