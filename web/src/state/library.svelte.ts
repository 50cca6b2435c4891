/** The models and personas that can be chosen from. */
import { listModels } from "../api/models.ts";
import { listPersonas } from "../api/personas.ts";
import type { Model, Persona, Pull } from "../api/types.ts";

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

  /** How far a download is; when it ends, the server tells of the models as well. */
  hear(pull: Pull): void {
    this.models = this.models.map((model) => (model.name === pull.name ? { ...model, pull } : model));
  }

  async loadModels(): Promise<void> {
    this.models = await listModels();
  }

  async loadPersonas(): Promise<void> {
    this.personas = await listPersonas();
  }
}

export const library = new Library();
