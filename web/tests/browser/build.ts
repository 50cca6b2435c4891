/** Builds the page once into a folder of its own, for all tests in a browser: in a process of its own, as people build it. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export const folder = fileURLToPath(new URL("../../node_modules/.page", import.meta.url));

export function setup(): void {
  const env = { ...process.env, NODE_ENV: "production", GADFLY_STATIC: folder };
  execFileSync("npm", ["run", "--silent", "build"], { cwd: fileURLToPath(new URL("../..", import.meta.url)), env, stdio: "inherit" });
}
