/** The models, personas and adapters that can be chosen from. */
import { listAdapters } from "../api/adapters.ts";
import { listModels } from "../api/models.ts";
import { listPersonas } from "../api/personas.ts";
import type { Adapter, Model, Persona, Pull } from "../api/types.ts";

class Library {
  models = $state.raw<Model[]>([]);
  personas = $state.raw<Persona[]>([]);
  adapters = $state.raw<Adapter[]>([]);

  get usable(): Model[] {
    return this.models.filter((model) => model.here);
  }

  /** What people call a model: its title up to what is said about it. */
  title(name: string | null): string {
    return this.models.find((model) => model.name === name)?.title.split(":")[0] || name || "";
  }

  /** A model with those that were not off beside it. */
  cast(name: string | null, adapters: Record<string, number>): string {
    return [this.title(name), ...Object.keys(adapters).filter((one) => adapters[one])].join(" + ");
  }

  /** Those that were made for a model, or stand beside it. */
  adaptersOf(model: string): Adapter[] {
    const beside = this.models.find(({ name }) => name === model)?.adapters ?? [];
    return this.adapters.filter(({ name, base, error }) => !error && (base === model || beside.includes(name)));
  }

  /** How far a download is; when it ends, the server tells of the models as well. */
  hear(pull: Pull): void {
    this.models = this.models.map((model) => (model.name === pull.name ? { ...model, pull } : model));
  }

  async loadModels(): Promise<void> {
    [this.models, this.adapters] = await Promise.all([listModels(), listAdapters()]);
  }

  async loadPersonas(): Promise<void> {
    this.personas = await listPersonas();
  }
}

export const library = new Library();
