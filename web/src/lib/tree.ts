/** The tree of a chat: pure functions over nodes that know their parent. Ids grow with time. */

/** What a tree knows of a node: nothing that changes while it is being written. */
export interface Twig {
  readonly id: number;
  readonly parent: number | null;
  readonly pruned: boolean;
  readonly role: string;
  readonly dropped: number | null;
}

export class Tree {
  private readonly twigs = new Map<number, Twig>();
  private readonly below = new Map<number | null, number[]>();

  constructor(nodes: Iterable<Twig>) {
    for (const { id, parent, pruned, role, dropped } of [...nodes].sort((a, b) => a.id - b.id)) {
      this.twigs.set(id, { id, parent, pruned, role, dropped });
      const siblings = this.below.get(parent);
      if (siblings) siblings.push(id);
      else this.below.set(parent, [id]);
    }
  }

  get(id: number): Twig | undefined {
    return this.twigs.get(id);
  }

  parent(id: number): number | null {
    return this.twigs.get(id)?.parent ?? null;
  }

  children(id: number | null): readonly number[] {
    return this.below.get(id) ?? [];
  }

  /** From the root to `leaf`. */
  path(leaf: number | null): number[] {
    const ids: number[] = [];
    for (let id = leaf; id !== null && this.twigs.has(id); id = this.parent(id)) ids.push(id);
    return ids.reverse();
  }

  /** `id` and those with the same parent that are not pruned. */
  siblings(id: number): number[] {
    return this.children(this.parent(id)).filter((other) => other === id || !this.twigs.get(other)!.pruned);
  }

  /** All messages from the top down, each with how many forks are above it. A branch that is pruned is left out, or not. */
  rows(pruned: boolean): { id: number; depth: number }[] {
    const rows: { id: number; depth: number }[] = [];
    const seen = (id: number | null) => this.children(id).filter((child) => pruned || !this.twigs.get(child)!.pruned);
    const stack = seen(null).map((id) => ({ id, depth: 0 })).reverse();
    for (let row = stack.pop(); row; row = stack.pop()) {
      rows.push(row);
      const below = seen(row.id);
      const depth = row.depth + (below.length > 1 ? 1 : 0);
      for (const id of below.toReversed()) stack.push({ id, depth });
    }
    return rows;
  }

  /** Where a walk down from `id` ends that always takes the newest branch which is not pruned. */
  newest(id: number): number {
    for (;;) {
      const next = this.children(id).findLast((child) => !this.twigs.get(child)!.pruned);
      if (next === undefined) return id;
      id = next;
    }
  }
}
