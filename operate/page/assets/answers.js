/* The five questions with their answers, and the worst of them at the top of the page. */
import {
    byId,
    command,
    element,
    setAttribute,
    setText,
    showCommand,
    showList,
} from "./elements.js";
import { nameOf } from "./format.js";
import { iconAddress, isVerdict, showShape, VERDICTS } from "./shapes.js";

const QUESTIONS = {
    fresh: {
        title: "Fresh?",
        about: "How old is the oldest change that is not here yet?",
        section: "history",
    },
    keeping_up: {
        title: "Keeping up?",
        about: "Are changes applied as fast as they come?",
        section: "partitions",
    },
    dropped: {
        title: "Anything dropped?",
        about: "Does a change wait aside, or is it lost?",
        section: "parked",
    },
    same: { title: "Same data?", about: "Do all copies have the same rows?", section: "fleet" },
    source: {
        title: "Will the source break?",
        about: "Can this service's own changes get out?",
        section: "history",
    },
};

const OVERALL = {
    ok: "in step",
    behind: "behind",
    stalled: "stalled",
    stopped: "needs you",
    unknown: "not known",
};
const WORDS = {
    ok: "ok",
    behind: "behind",
    stalled: "stalled",
    stopped: "stopped",
    unknown: "not known",
};

const LONG_REASON = 130; // characters; such an answer gets more room

function create(question) {
    const { title, about, section } = QUESTIONS[question.question];
    const head = `question-${question.question}`;
    return element(
        "article",
        { class: "question", "aria-labelledby": head },
        element("h3", { id: head }, element("a", { href: `#${section}` }, title)),
        element("p", { class: "about" }, about),
        element(
            "p",
            { class: "verdict" },
            element("span", { class: "shape" }),
            element("span", { class: "word" }),
        ),
        element("p", { class: "reason" }),
        command(),
    );
}

function update(node, question) {
    const verdict = isVerdict(question.verdict) ? question.verdict : "unknown";
    setAttribute(node, "data-verdict", verdict);
    showShape(node.querySelector(".shape"), verdict);
    setText(node.querySelector(".word"), WORDS[verdict]);
    setText(node.querySelector(".reason"), question.reason);
    node.classList.toggle("long", question.reason.length > LONG_REASON);
    const next = node.querySelector(".command");
    next.hidden = question.next === null;
    showCommand(next, question.next ?? "");
}

let told = null;

/** Says changed verdicts to readers of the screen. */
function tell(questions) {
    const now = new Map(questions.map((question) => [question.question, question.verdict]));
    if (told !== null) {
        const changes = questions
            .filter((question) => told.get(question.question) !== question.verdict)
            .map(
                (question) =>
                    `${QUESTIONS[question.question].title} ${WORDS[question.verdict] ?? WORDS.unknown}.`,
            );
        if (changes.length > 0) {
            setText(byId("told"), changes.join(" "));
        }
    }
    told = now;
}

/** The worst verdict at the top, in the title and in the icon. */
function showOverall(service, verdict) {
    setText(byId("service"), service);
    setText(byId("overall-word"), OVERALL[verdict]);
    showShape(byId("overall-shape"), verdict);
    setAttribute(byId("overall-word"), "data-verdict", verdict);
    document.title = `${service} ${OVERALL[verdict]} – Keepstep`;
    setAttribute(byId("icon"), "href", iconAddress(verdict));
}

export function showAnswers(state) {
    const questions = state.questions.filter((question) => question.question in QUESTIONS);
    showList(byId("questions"), questions, { key: (question) => question.question, create, update });
    const worst = Math.max(
        ...questions.map((question) => VERDICTS.indexOf(question.verdict)),
        VERDICTS.indexOf("ok"),
    );
    showOverall(nameOf(state), VERDICTS[worst]);
    tell(questions);
}

/** When the sidecar is out of reach, nothing is known of now. */
export function showNoAnswer() {
    setText(byId("overall-word"), "does not answer");
    showShape(byId("overall-shape"), "unknown");
    setAttribute(byId("overall-word"), "data-verdict", "unknown");
    document.title = `no answer – ${byId("service").textContent} – Keepstep`;
    setAttribute(byId("icon"), "href", iconAddress("unknown"));
}
