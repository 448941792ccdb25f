import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Only plain logic is tested here; what needs a page is tested in a real JupyterLab by tests/browser.
    include: ['tests/**/*.test.ts'],
    pool: 'threads'
  }
});
