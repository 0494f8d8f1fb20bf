// Bundles the page into files with fixed names under static/ (or the folder named by the first argument).
import { build } from 'esbuild';
import { rmSync } from 'node:fs';

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
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'file', '.woff2': 'dataurl', '.svg': 'dataurl' },
  assetNames: '[name]',
  logLevel: 'warning',
});
