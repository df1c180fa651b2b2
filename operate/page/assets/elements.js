/* Builds elements and keeps them up to date. Text goes in as text only: what is shown can be hostile. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value !== null && value !== undefined && value !== false) {
            node.setAttribute(name, value === true ? "" : value);
        }
    }
    node.append(...children.filter((child) => child !== null));
    return node;
}

/** A new element. Children are elements, texts or null. */
export function element(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
}

export function drawing(name, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
}

export function byId(id) {
    return document.getElementById(id);
}

/** Writes only what has changed, so that a selection in the text survives. */
export function setText(node, text) {
    if (node.textContent !== text) {
        node.textContent = text;
    }
}

export function setAttribute(node, name, value) {
    if (value === null) {
        node.removeAttribute(name);
    } else if (node.getAttribute(name) !== value) {
        node.setAttribute(name, value);
    }
}

/**
 * Makes the children of `parent` those of `items`, in their order. A child stays where its key stays, with its
 * focus and whatever is open in it.
 */
export function showList(parent, items, { key, create, update }) {
    const before = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
    let place = parent.firstElementChild;
    for (const item of items) {
        const name = String(key(item));
        let child = before.get(name);
        before.delete(name);
        if (child === undefined) {
            child = create(item);
            child.dataset.key = name;
        }
        if (child === place) {
            place = place.nextElementSibling;
        } else {
            parent.insertBefore(child, place);
        }
        update(child, item);
    }
    for (const child of before.values()) {
        child.remove();
    }
}

/** Puts a text on the clipboard, also where the page has no right to use it directly. */
async function copyText(text, node) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const selection = window.getSelection();
        selection.selectAllChildren(node);
        return document.execCommand("copy");
    }
}

/** A command to type, with a button that copies it. */
export function command() {
    const code = element("code");
    const button = element("button", { type: "button", class: "quiet copy" }, "Copy");
    button.addEventListener("click", async () => {
        const copied = await copyText(code.textContent, code);
        setText(button, copied ? "Copied" : "Select it");
        setTimeout(() => setText(button, "Copy"), 2000);
    });
    return element(
        "div",
        { class: "command" },
        element(
            "div",
            { class: "command-head" },
            element("span", { class: "note" }, "Type next"),
            button,
        ),
        code,
    );
}

/* A path may be broken behind a slash, a flag nowhere. */
function partsOf(word) {
    return word.startsWith("-")
        ? [element("span", { class: "flag" }, word)]
        : word.split(/(?<=[/])/).flatMap((part) => [part, element("wbr")]);
}

export function showCommand(node, text) {
    const code = node.querySelector("code");
    if (code.textContent !== text) {
        code.replaceChildren(...text.split(/(?<= )/).flatMap(partsOf));
    }
    setAttribute(node.querySelector("button"), "aria-label", `Copy: ${text}`);
}
