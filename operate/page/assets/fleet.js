/* All services of the cluster, and a matrix of entity types and copies. */
import { byId, element, setAttribute, setText, showList } from "./elements.js";
import { ago, byName, count, duration, isFresh, nameOf, plural } from "./format.js";
import { showShape } from "./shapes.js";

const RETENTION_S = 24 * 3600; // what is further away is not said

function copyKey({ service, copy_id: copyId }) {
    return `${service} ${copyId ?? ""}`;
}

/** Sorts by name. Two copies of one service are told apart by the beginning of their ids. */
function columnsOf(fleet) {
    const columns = new Map();
    for (const type of fleet.types) {
        for (const copy of type.copies) {
            columns.set(copyKey(copy), { service: copy.service, copyId: copy.copy_id });
        }
    }
    const keys = Array.from(columns.keys()).sort(byName);
    return keys.map((key) => {
        const column = columns.get(key);
        const ids = new Set(
            Array.from(columns.values())
                .filter(({ service, copyId }) => service === column.service && copyId !== null)
                .map(({ copyId }) => copyId),
        );
        return { key, ...column, isOneOfSeveral: ids.size > 1 && column.copyId !== null };
    });
}

/** A publisher's row without a copy and its copies of other types share a column. */
function joinColumns(columns) {
    return columns
        .filter(
            (column) =>
                column.copyId !== null ||
                !columns.some((other) => other.service === column.service && other.copyId !== null),
        )
        .map((column) => ({
            ...column,
            keys: [column.key, copyKey({ service: column.service, copy_id: null })],
        }));
}

function stateOfService(service) {
    if (service.stopped !== null) {
        return { verdict: "stopped", text: service.stopped };
    }
    if (service.silent) {
        return { verdict: "unknown", text: "silent; the numbers are its last ones" };
    }
    if (service.lag_s === null) {
        return { verdict: "ok", text: "runs" };
    }
    return isFresh(service.lag_s)
        ? { verdict: "ok", text: "in step" }
        : { verdict: "behind", text: "behind" };
}

function rowsOf(copy) {
    return [
        [copy.differs, "differ"],
        [copy.missing, "missing"],
        [copy.extra, "too many"],
    ]
        .filter(([number]) => number > 0)
        .map(([number, word]) => `${count(number)} ${word}`)
        .join(", ");
}

function compared(copy) {
    if (copy.verdict === "different") {
        return {
            verdict: "stopped",
            text: "different",
            notes: [
                rowsOf(copy),
                copy.verified_at === null ? "" : `compared ${ago(copy.verified_at)}`,
            ],
        };
    }
    if (copy.verdict === "equal") {
        const leftOut = copy.left_out > 0 ? `${plural(copy.left_out, "row")} left out` : "";
        return {
            verdict: "ok",
            text: "equal",
            notes: [
                copy.equal_since === null
                    ? ""
                    : `since ${ago(copy.equal_since).replace(" ago", "")}`,
                `compared ${ago(copy.verified_at)}`,
                leftOut,
            ],
        };
    }
    if (copy.verdict === "reference") {
        return { verdict: "ok", text: "reference", notes: ["the others are compared with it"] };
    }
    return { verdict: "unknown", text: "not compared", notes: [] };
}

function stateOfCopy(copy, type) {
    if (copy.state === "stopped") {
        return {
            verdict: "stopped",
            text: "stopped",
            notes: [copy.stopped ?? "", ...(copy.verdict === "different" ? ["different"] : [])],
        };
    }
    if (copy.state === "filling") {
        return { verdict: "behind", text: "filling", notes: ["its rows come from another copy"] };
    }
    if (copy.state === "incomplete") {
        return { verdict: "behind", text: "incomplete", notes: ["not all of the log was read"] };
    }
    const state = compared(copy);
    if (copy.paused_since !== null) {
        const paused = `paused ${ago(copy.paused_since)}`;
        return copy.verdict === "different"
            ? { ...state, notes: [...state.notes, paused] }
            : { verdict: "stopped", text: "paused", notes: [paused, ...state.notes] };
    }
    return copy.copy_id === null && copy.service === type.publisher && state.verdict === "unknown"
        ? { verdict: "ok", text: "publishes", notes: [] }
        : state;
}

/** A report lists the first ones of a partition, and may not know how many there are. */
function parkedOf({ parked, parked_is_minimum: isMinimum }) {
    return isMinimum ? `${count(parked)} or more` : count(parked);
}

function retentionOf({ retention_overtakes_s: left }) {
    if (left === null || left > RETENTION_S) {
        return "";
    }
    return left === 0
        ? "Kafka may have deleted what it has not applied"
        : `in ${duration(Math.round(left))} Kafka deletes what it has not applied`;
}

function lagOf(copy, type) {
    if (copy.copy_id === null) {
        return copy.service === type.publisher ? "publishes it" : "";
    }
    const lag =
        copy.lag_s === null && copy.lag_records !== null
            ? `${plural(copy.lag_records, "record")} behind`
            : copy.lag_s === 0
              ? "no lag"
              : `lag ${duration(copy.lag_s)}`;
    return [lag, copy.parked > 0 ? `${parkedOf(copy)} parked` : "", retentionOf(copy)]
        .filter((text) => text !== "")
        .join(", ");
}

function createState() {
    return [element("span", { class: "shape" }), element("span", { class: "word" })];
}

function updateState(node, { verdict, text }) {
    setAttribute(node, "data-verdict", verdict);
    showShape(node.querySelector(".shape"), verdict);
    setText(node.querySelector(".word"), text);
}

function showServices(services) {
    showList(byId("service-rows"), services, {
        key: (service) => `${copyKey(service)} ${service.instance}`,
        create: () =>
            element(
                "tr",
                {},
                element("th", { scope: "row" }),
                element("td", { class: "state" }, ...createState()),
                ...Array.from({ length: 5 }, () => element("td", { class: "number" })),
            ),
        update: (row, service) => {
            setText(row.querySelector("th"), nameOf(service));
            updateState(row.querySelector(".state"), stateOfService(service));
            const texts = [
                duration(service.lag_s),
                count(service.waiting),
                count(service.set_aside),
                parkedOf(service),
                `${duration(Math.round(service.seen_s))} ago`,
            ];
            row.querySelectorAll("td.number").forEach((cell, index) => setText(cell, texts[index]));
        },
    });
}

function silentNote(fleet, service) {
    const own = fleet.services.filter((one) => one.service === service);
    return own.length > 0 && own.every(({ silent }) => silent) ? "silent" : "";
}

function showHead(fleet, columns) {
    showList(byId("matrix-head"), [0], {
        key: () => "head",
        create: () => element("tr"),
        update: (row) =>
            showList(row, [{ key: "type" }, ...columns], {
                key: ({ key }) => key,
                create: ({ key }) =>
                    element(
                        "th",
                        { scope: "col" },
                        key === "type" ? "Entity type" : element("span", { class: "column-name" }),
                        key === "type" ? null : element("span", { class: "note" }),
                    ),
                update: (cell, column) => {
                    if (column.key !== "type") {
                        setText(cell.querySelector(".column-name"), column.service);
                        setText(
                            cell.querySelector(".note"),
                            [
                                column.isOneOfSeveral ? column.copyId.slice(0, 8) : "",
                                silentNote(fleet, column.service),
                            ]
                                .filter((text) => text !== "")
                                .join(", "),
                        );
                    }
                },
            }),
    });
}

function showCell(cell, copy, type) {
    if (copy === undefined) {
        cell.replaceChildren(element("span", { class: "note" }, "–"));
        return;
    }
    if (cell.querySelector(".state") === null) {
        cell.replaceChildren(
            element("div", { class: "state" }, ...createState()),
            element("div", { class: "note lag" }),
            element("div", { class: "note compared" }),
        );
    }
    const state = stateOfCopy(copy, type);
    updateState(cell.querySelector(".state"), state);
    setText(cell.querySelector(".lag"), lagOf(copy, type));
    setText(cell.querySelector(".compared"), state.notes.filter((text) => text !== "").join("; "));
}

function showMatrix(fleet) {
    const columns = joinColumns(columnsOf(fleet));
    showHead(fleet, columns);
    showList(byId("matrix-rows"), fleet.types, {
        key: ({ entity_type: name, topic }) => `${name} ${topic}`,
        create: (type) =>
            element(
                "tr",
                {},
                element(
                    "th",
                    { scope: "row", "data-key": "" },
                    type.entity_type,
                    element("span", { class: "note" }),
                ),
            ),
        update: (row, type) => {
            setText(
                row.querySelector("th .note"),
                `${plural(type.members, "member")}, quorum ${count(type.quorum)}`,
            );
            const cells = columns.map((column) => ({
                key: column.key,
                copy: type.copies.find((copy) => column.keys.includes(copyKey(copy))),
            }));
            showList(row, [{ key: "" }, ...cells], {
                key: ({ key }) => key,
                create: () => element("td"),
                update: (cell, { key, copy }) =>
                    key === "" ? undefined : showCell(cell, copy, type),
            });
        },
    });
}

export function showFleet(fleet) {
    setText(
        byId("fleet-note"),
        fleet.read_at === null
            ? "Not known yet: the control topic was not read, or control_topic is off."
            : `As the services have told each other, read ${ago(fleet.read_at)}`,
    );
    byId("fleet-tables").hidden = fleet.services.length === 0 && fleet.types.length === 0;
    showServices(
        [...fleet.services].sort(
            (left, right) =>
                byName(left.service, right.service) || byName(left.instance, right.instance),
        ),
    );
    showMatrix(fleet);
}
