/** The models and personas that can be chosen from. */
import { listModels } from "../api/models.ts";
import { listPersonas } from "../api/personas.ts";
import type { Model, Persona } from "../api/types.ts";

class Library {
  models = $state.raw<Model[]>([]);
  personas = $state.raw<Persona[]>([]);

  get usable(): Model[] {
    return this.models.filter((model) => model.here);
  }

  /** What people call a model: its title up to what is said about it. */
  title(name: string | null): string {
    return this.models.find((model) => model.name === name)?.title.split(":")[0] || name || "";
  }

  async loadModels(): Promise<void> {
    this.models = await listModels();
  }

  async loadPersonas(): Promise<void> {
    this.personas = await listPersonas();
  }
}

export const library = new Library();
