/* Retry and skip: asks for the token and for whoever acts, and sends it. The token stays in memory. */
import { byId, setText } from "./elements.js";
import { act, Refusal } from "./connection.js";

const ACTIONS = {
    retry: {
        head: (id) => `Retry record ${id}?`,
        text: "The agent tries to apply it once more, now. Where it waits behind another record, that one is tried.",
        go: "Retry",
        asks: false,
    },
    skip: {
        head: (id) => `Skip record ${id}?`,
        text:
            "Its change is given up. It is lost here, and only here: this copy will differ from its source until a " +
            "later change, or keepstep repair. It cannot be undone.",
        go: "Skip for good",
        asks: true,
    },
};

let token = "";
let who = "";
let pending = null; // { id, name, title, resolve } while the dialog is open

function open({ id, name, title }, error) {
    const action = ACTIONS[name];
    setText(byId("action-head"), action.head(id));
    setText(byId("action-record"), title);
    setText(byId("action-text"), action.text);
    setText(byId("action-go"), action.go);
    setText(byId("action-error"), error);
    byId("action-go").classList.toggle("danger", action.asks);
    byId("action-who").value = who;
    byId("action-token").value = token;
    byId("action").showModal();
    (who === ""
        ? byId("action-who")
        : token === ""
          ? byId("action-token")
          : byId("action-cancel")
    ).focus();
}

function explain(refusal) {
    return refusal.next === null ? refusal.message : `${refusal.message}. ${refusal.next}`;
}

async function send(id, name) {
    try {
        return { answer: await act(`/api/parked/${id}/${name}`, token, who), refused: null };
    } catch (error) {
        if (error instanceof Refusal) {
            return { answer: null, refused: error };
        }
        return {
            answer: null,
            refused: new Refusal(0, {
                error:
                    "The sidecar did not answer. Whether it has done " +
                    "this is not known: look at the list again",
            }),
        };
    }
}

/** Sends it; a token that is not taken is asked for again. */
async function attempt(wish) {
    const { id, name, resolve } = wish;
    byId("action-go").disabled = true;
    const { answer, refused } = await send(id, name);
    byId("action-go").disabled = false;
    if (
        refused !== null &&
        (refused.code === 401 || refused.code === 403 || refused.code === 429)
    ) {
        token = "";
        pending = wish;
        if (byId("action").open) {
            byId("action-token").value = "";
            setText(byId("action-error"), explain(refused));
            byId("action-token").focus();
        } else {
            open(wish, explain(refused));
        }
        return;
    }
    pending = null;
    byId("action").close();
    resolve({ answer, error: refused === null ? null : explain(refused) });
}

/**
 * Retries or skips a record. @param title  what it is about, for people.
 * @return { answer, error }; null where the reader leaves it.
 */
export function perform(id, name, title) {
    return new Promise((resolve) => {
        const wish = { id, name, title, resolve };
        if (token !== "" && !ACTIONS[name].asks) {
            attempt(wish);
            return;
        }
        pending = wish;
        open(wish, "");
    });
}

export function startActions() {
    byId("action-form").addEventListener("submit", (event) => {
        event.preventDefault();
        if (pending !== null) {
            token = byId("action-token").value;
            who = byId("action-who").value.trim();
            setText(byId("action-error"), "");
            attempt(pending);
        }
    });
    byId("action-cancel").addEventListener("click", () => byId("action").close());
    byId("action").addEventListener("close", () => {
        byId("action-token").value = "";
        if (pending !== null) {
            pending.resolve(null);
            pending = null;
        }
    });
}
