/** What this browser remembers of its reader; nothing of it is sent anywhere. */

export type Theme = "system" | "light" | "dark";

const KEY = "gadfly.preferences";

interface Kept {
  theme: Theme;
  language: string;
  sidebar: boolean;
}

class Preferences implements Kept {
  theme = $state<Theme>("system");
  language = $state("");
  sidebar = $state(true);

  constructor() {
    try {
      Object.assign(this, JSON.parse(localStorage.getItem(KEY) ?? "{}"));
    } catch {
      localStorage.removeItem(KEY); // unreadable: begin anew
    }
    $effect.root(() => {
      $effect(() => {
        const { theme, language, sidebar } = this;
        localStorage.setItem(KEY, JSON.stringify({ theme, language, sidebar } satisfies Kept));
        document.documentElement.dataset.theme = theme;
      });
    });
  }
}

export const preferences = new Preferences();
