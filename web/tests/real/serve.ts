/** A real `gadfly serve` with the default model and, if wanted, a tiny mixture; and a home of its own in which the model has a twin. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../../.venv/bin/", import.meta.url));

export interface Serving {
  url: string;
  /** Its GADFLY_HOME, which goes with it. */
  home: string;
  close(): Promise<void>;
}

export async function serve(mixture = false): Promise<Serving> {
  const home = mkdtempSync(join(tmpdir(), "gadfly-web-"));
  const known = execFileSync(join(bin, "python"), ["-c", "from gadfly.settings import home; print(home())"], { encoding: "utf8" }).trim();
  if (existsSync(join(known, "cache"))) symlinkSync(join(known, "cache"), join(home, "cache"));
  const smollm2 = join(known, "models", "smollm2");
  const manifest = JSON.parse(readFileSync(join(smollm2, "model.json"), "utf8"));
  for (const name of ["smollm2", "twin"]) {
    const folder = join(home, "models", name);
    const files = [{ ...manifest.files[0], path: `${name}.gguf` }];
    mkdirSync(folder, { recursive: true });
    symlinkSync(join(smollm2, "smollm2.gguf"), join(folder, `${name}.gguf`));
    writeFileSync(join(folder, "model.json"), JSON.stringify({ ...manifest, name, reference: name, files }));
  }
  const mix = join(home, "mix");
  const shape = ["--arch", "mixtral", "--layers", "2", "--dim", "64", "--experts", "4", "--tokenizer", "bytes"];
  if (mixture) execFileSync(join(bin, "gadfly"), ["new", mix, ...shape], { stdio: "ignore" });
  const models = mixture ? ["smollm2", mix] : ["smollm2"];
  const process_ = spawn(join(bin, "gadfly"), ["serve", ...models, "--port", "0"], { env: { ...process.env, GADFLY_HOME: home } });
  const url = await address(process_);
  return {
    url,
    home,
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
