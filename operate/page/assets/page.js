/* The page of a sidecar: asks it again and again, and shows what it says. */
import { startActions } from "./action.js";
import { showAnswers, showNoAnswer } from "./answers.js";
import { get, noteAnswer, noteSilence, repeat, seenFor, silence } from "./connection.js";
import { byId, setText } from "./elements.js";
import { showFigures } from "./figures.js";
import { showFleet } from "./fleet.js";
import { duration, noteServerTime, ago } from "./format.js";
import {
    historySeconds,
    historyPeriod,
    recolourHistory,
    showHistory,
    startHistory,
} from "./history.js";
import { parkedPath, showParked, startParked } from "./parked.js";
import { showPartitions, startPartitions } from "./partitions.js";
import { startTheme } from "./theme.js";

const STATE_MS = 2000;
const FLEET_MS = 5000;
const PARKED_MS = 10000;
const OLD_S = 8;

let state = null;

/** Where there is no answer, what is shown stays; the banner says how old it is. */
async function quietly(path, show) {
    const answer = await get(path).catch(() => null);
    if (answer !== null) {
        show(answer);
    }
}

function showState(answer) {
    const parkedBefore = state?.parked;
    state = answer;
    showAnswers(state);
    showFigures(state);
    showPartitions(state);
    setText(byId("build"), `Keepstep ${state.version}, started ${ago(state.started_at)}.`);
    if (parkedBefore !== state.parked) {
        hurryParked();
    }
}

async function refreshState() {
    const answer = await get("/api/state").catch(() => null);
    if (answer === null) {
        noteSilence();
        if (silence().failed) {
            showNoAnswer();
        }
    } else {
        noteServerTime(answer.taken_at);
        noteAnswer();
        showState(answer);
    }
    showAge();
}

async function refreshParked() {
    if (state === null) {
        return;
    }
    const answer = await get(parkedPath()).catch((error) => error);
    if (answer instanceof Error) {
        showParked(state, null, silence().failed ? null : answer);
    } else {
        showParked(state, answer, null);
    }
}

function refreshHistory() {
    const seconds = historySeconds();
    return quietly(`/api/history?seconds=${seconds}`, (history) => showHistory(history, seconds));
}

/** How old what is shown is, once a second. */
function showAge() {
    const { seconds, failed } = silence();
    const lost = byId("lost");
    const isOld = failed || (seconds !== null && Math.min(seconds, seenFor()) > OLD_S);
    document.documentElement.classList.toggle("is-old", isOld);
    lost.hidden = !isOld;
    setText(byId("lost-alert"), isOld ? "The sidecar does not answer. What is below is old." : "");
    if (seconds === null) {
        setText(byId("age"), failed ? "no answer" : "waiting for the sidecar");
        setText(byId("lost-text"), "The sidecar does not answer. This page asks again.");
        return;
    }
    setText(byId("age"), isOld ? "no answer" : `${Math.floor(seconds)} s old`);
    if (isOld) {
        setText(
            byId("lost-text"),
            `No answer since ${duration(Math.floor(seconds))}. What is below is as old as that.`,
        );
    }
}

let hurryParked = () => {};

startTheme(recolourHistory);
startActions();
startPartitions();
startHistory(() => hurryHistory());
startParked(() => {
    hurryParked();
    hurryState();
});
const hurryState = repeat(refreshState, () => STATE_MS);
const hurryHistory = repeat(refreshHistory, historyPeriod);
hurryParked = repeat(refreshParked, () => PARKED_MS);
repeat(
    () => quietly("/api/fleet", showFleet),
    () => FLEET_MS,
);
setInterval(showAge, 1000);
