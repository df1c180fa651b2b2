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
let busy = false; // one thing at a time is asked for
let pending = null; // the action that the open dialog is about

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

function setBusy(isBusy) {
    busy = isBusy;
    byId("action-go").disabled = isBusy;
    byId("action-cancel").disabled = isBusy;
}

function isOfToken({ code }) {
    return code === 401 || code === 403 || code === 429;
}

/** Asks for the token again. */
function askAgain(wish, error) {
    token = "";
    if (pending !== wish) {
        pending = wish;
        open(wish, error);
        return;
    }
    byId("action-token").value = "";
    setText(byId("action-error"), error);
    byId("action-token").focus();
}

async function attempt(wish) {
    setBusy(true);
    wish.sent();
    const { answer, refused } = await send(wish.id, wish.name);
    setBusy(false);
    if (refused !== null && isOfToken(refused)) {
        askAgain(wish, explain(refused));
        return;
    }
    if (pending === wish) {
        pending = null;
        byId("action").close();
    }
    wish.resolve({ answer, error: refused === null ? null : explain(refused) });
}

/**
 * Retries or skips a record: { id, name, title, sent }. The title says what it is about, for people; `sent` is called
 * when the sidecar is asked.
 * @return { answer, error }; null where the reader leaves it, or where another record is under way.
 */
export function perform(action) {
    if (busy) {
        return Promise.resolve(null);
    }
    return new Promise((resolve) => {
        const wish = { ...action, resolve };
        if (token !== "" && !ACTIONS[action.name].asks) {
            attempt(wish);
            return;
        }
        pending = wish;
        open(wish, "");
    });
}

function submit(event) {
    event.preventDefault();
    token = byId("action-token").value.trim();
    who = byId("action-who").value.trim();
    if (!/^[\x21-\x7e]+$/.test(token)) {
        askAgain(
            pending,
            "This cannot be a token: it has a blank or a letter that tokens have not",
        );
        return;
    }
    setText(byId("action-error"), "");
    attempt(pending);
}

function close() {
    byId("action-token").value = "";
    if (pending !== null) {
        pending.resolve(null);
        pending = null;
    }
}

export function startActions() {
    byId("action-form").addEventListener("submit", submit);
    byId("action-cancel").addEventListener("click", () => byId("action").close());
    byId("action").addEventListener("cancel", (event) => {
        if (busy) {
            event.preventDefault(); // what becomes of it is still to be told
        }
    });
    byId("action").addEventListener("close", close);
}
