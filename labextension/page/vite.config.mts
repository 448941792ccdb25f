import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// The page is files beside the Python package, which serves them under any path: addresses are relative, nothing is inlined.
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  build: {
    outDir: fileURLToPath(new URL('../../server_ext/modelbox_server/page_files', import.meta.url)),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    chunkSizeWarningLimit: 1000 // Vega, in a chunk that is loaded with the first chart
  }
});
