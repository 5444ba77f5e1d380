#!/usr/bin/env node
// WANT: passes: starts unshare(1) with child_process of Node.js.
// NEEDS: node
const { spawn } = require('child_process');
const [word, ...words] = process.argv.slice(2);
if (word !== 'run' || words.length === 0) { console.error('usage: run COMMAND [ARG...]'); process.exit(2); }
const script = 'hostname mini-docker && mount -t proc -o ro proc rootfs/proc && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"';
const child = spawn('unshare', ['--uts', '--pid', '--mount', '--fork', '--kill-child', 'sh', '-c', script, 'sh', ...words], { stdio: 'inherit' });
child.on('error', (e) => { console.error(`spawn unshare: ${e.message}`); process.exit(125); });
child.on('exit', (code, signal) => process.exit(code ?? 128 + require('os').constants.signals[signal]));
