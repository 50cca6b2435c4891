import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const server = process.env.GADFLY_URL ?? "http://127.0.0.1:8000";

/** Browsers on busy machines take their time; nothing here depends on how much. */
const patient = { fileParallelism: false, testTimeout: 240_000, hookTimeout: 240_000, expect: { poll: { timeout: 30_000, interval: 50 } } };

export default defineConfig({
  plugins: [svelte(), onlyWoff2()],
  // Browsers know the names of HTML's characters; the table that markdown-it would bring is as large as the rest of it.
  resolve: { alias: { entities: here("src/markdown/entities.ts") } },
  build: {
    outDir: process.env.GADFLY_STATIC ?? here("../src/gadfly/server/static"),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0, // the page's policy allows no data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 400,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { "/app/api": server } },
  test: {
    projects: [
      { extends: true, test: { name: "unit", include: ["tests/unit/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "browser",
          include: ["tests/browser/**/*.test.ts"],
          globalSetup: "tests/browser/build.ts",
          retry: 1, // each has a server and a visit of its own; one visit in some thirty has been seen never to answer
          ...patient,
        },
      },
      {
        extends: true,
        test: {
          name: "real",
          include: ["tests/real/**/*.test.ts"],
          ...patient,
        },
      },
    ],
  },
});

/** KaTeX offers each font in three formats. Every browser that runs this page reads the smallest. */
function onlyWoff2() {
  return {
    name: "only-woff2",
    enforce: "pre" as const,
    transform(code: string, id: string) {
      if (!id.includes("katex.min.css")) return;
      return { code: code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)/g, ""), map: null };
    },
  };
}
