/** A real `gadfly serve` with the default model and a home of its own. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../../.venv/bin/", import.meta.url));

export interface Serving {
  url: string;
  close(): Promise<void>;
}

export async function serve(): Promise<Serving> {
  const home = mkdtempSync(join(tmpdir(), "gadfly-web-"));
  const known = execFileSync(join(bin, "python"), ["-c", "from gadfly.settings import home; print(home())"], { encoding: "utf8" }).trim();
  for (const folder of ["models", "cache"].filter((name) => existsSync(join(known, name)))) symlinkSync(join(known, folder), join(home, folder));
  const process_ = spawn(join(bin, "gadfly"), ["serve", "smollm2", "--port", "0"], { env: { ...process.env, GADFLY_HOME: home } });
  const url = await address(process_);
  return {
    url,
    close: async () => {
      const ended = new Promise((done) => process_.once("exit", done));
      process_.kill("SIGINT");
      await ended;
      rmSync(home, { recursive: true });
    },
  };
}

function address(server: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    let said = "";
    const read = (data: Buffer) => {
      said += data.toString();
      const match = /at (http:\/\/\S+)/.exec(said);
      if (match) found(match[1]!);
    };
    server.stdout!.on("data", read);
    server.stderr!.on("data", read);
    server.once("exit", (code) => failed(new Error(`gadfly serve ended with ${code}: ${said}`)));
  });
}
