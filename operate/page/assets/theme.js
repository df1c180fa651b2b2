/* Light or dark: as the system has it, or as the reader has chosen. */
import { byId, setText } from "./elements.js";

const CHOICES = ["system", "dark", "light"];
const KEY = "keepstep-theme";

function stored() {
    try {
        return localStorage.getItem(KEY);
    } catch {
        return null; // where storage is forbidden, the choice lasts as long as the page
    }
}

function store(choice) {
    try {
        localStorage.setItem(KEY, choice);
    } catch {
        // see above
    }
}

/** Wires the button. `changed` is called whenever colours change. */
export function startTheme(changed) {
    const button = byId("theme");
    let choice = CHOICES.includes(stored()) ? stored() : "system";
    const show = () => {
        document.documentElement.dataset.theme = choice;
        setText(byId("theme-name"), choice);
        changed();
    };
    button.addEventListener("click", () => {
        choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
        store(choice);
        show();
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    show();
}
