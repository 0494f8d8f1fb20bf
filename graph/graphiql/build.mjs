// Bundles the page into files with fixed names under static/ (or the folder named by the first argument), compressed only.
import { build } from 'esbuild';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const outdir = process.argv[2] ?? 'static';
rmSync(outdir, { recursive: true, force: true });

await build({
  entryPoints: {
    graphiql: 'src/main.jsx',
    'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
    'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
  },
  outdir,
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2022',
  jsx: 'automatic',
  alias: { graphql: './node_modules/graphql/index.mjs' }, // the explorer's `require` would take the larger form of it
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'file', '.woff2': 'dataurl', '.svg': 'dataurl' },
  assetNames: '[name]',
  logLevel: 'warning',
});

for (const name of readdirSync(outdir)) {
  const file = `${outdir}/${name}`;
  const content = readFileSync(file);
  writeFileSync(`${file}.br`, brotliCompressSync(content)); // at its best by default
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
  rmSync(file);
}
