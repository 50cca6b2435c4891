/** `npm run mock`: the page, built anew, before the mock; for whoever works on its looks. Ends with Ctrl-C. */
import { build, runnerImport } from "vite";

const { module } = await runnerImport("./tests/mock/server.ts");
const outDir = "node_modules/.page";
await build({ build: { outDir }, logLevel: "warn" });
console.log((await module.mock(outDir, Number(process.env.PORT ?? 0))).url);
