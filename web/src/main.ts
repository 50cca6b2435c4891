import { mount } from "svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/forms.css";
import "./styles/prose.css";
import App from "./App.svelte";
import { startLanguage } from "./lib/i18n.svelte.ts";

await startLanguage();
mount(App, { target: document.getElementById("app")! });
