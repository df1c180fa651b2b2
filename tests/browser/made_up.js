/* A sidecar that is made up: it serves the page's files, and answers that a real run seldom has. */
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const ROOT = path.join(__dirname, "../..");
const ASSETS = path.join(ROOT, "operate/page/assets");
const ANSWERS = path.join(ROOT, "tests/support/api");
const HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; font-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript" };
const STEPS = { 900: 5, 3600: 15, 86400: 300 };

function answer(name) {
    return JSON.parse(fs.readFileSync(path.join(ANSWERS, `${name}.json`)));
}

function before(seconds) {
    return new Date(Date.now() - seconds * 1000).toISOString();
}

function partition(topic, number, lag, more = {}) {
    return {
        entity_type: topic,
        topic,
        partition: number,
        lag_records: lag === null ? null : Math.round(lag * 10),
        lag_s: lag,
        applied_offset: 1000,
        durable_offset: 990,
        end_offset: lag === null ? null : 1000 + Math.round(lag * 10),
        parked: 0,
        stopped: null,
        ...more,
    };
}

function question(name, verdict, reason, next) {
    return { question: name, verdict, reason, next: next ?? null };
}

const IDS = ["fresh", "keeping_up", "dropped", "same", "source"];

const unknown = {
    state: {
        ...answer("state"),
        actions: false,
        questions: IDS.map((id) =>
            question(id, "unknown", "nothing was heard yet", "keepstep status"),
        ),
        partitions: [partition("order", 0, null)],
        rates: { applied_per_s: null, published_per_s: null, catch_up_s: null },
        latency: { p50_s: null, p99_s: null },
        outbox: {
            waiting: null,
            in_flight: null,
            set_aside: null,
            oldest_unacknowledged_s: null,
            transactions: "single",
        },
        relay_state: null,
        parked: null,
        parked_held: null,
        parked_waiting: null,
    },
    lags: () => null,
    fleet: { read_at: null, services: [], types: [] },
    parked: { records: [], more_after: null },
};

const many = {
    state: {
        ...answer("state"),
        service: "warehouse-stock-projection-of-central-europe",
        instance: "replica-2",
        questions: IDS.map((id) =>
            question(
                id,
                "behind",
                `${"a long reason with averyverylongword ".repeat(8)}.`,
                `keepstep lag -c /etc/keepstep/${"a-long-name-".repeat(8)}.yaml`,
            ),
        ),
        partitions: Array.from({ length: 40 }, (_, number) =>
            partition("stock-movement", number, number),
        ),
    },
    lags: ({ lag_s: lag }, index, length) => (lag * index) / length,
    fleet: {
        read_at: before(1),
        services: Array.from({ length: 12 }, (_, number) => ({
            ...answer("fleet").services[0],
            service: `service-${number}`,
            copy_id: `0b7c1f0a-4a55-4a52-9d0c-2f4c8f0b2d${10 + number}`,
        })),
        types: [
            {
                ...answer("fleet").types[0],
                copies: Array.from({ length: 12 }, (_, number) => ({
                    ...answer("fleet").types[0].copies[0],
                    service: `service-${number}`,
                    copy_id: `0b7c1f0a-4a55-4a52-9d0c-2f4c8f0b2d${10 + number}`,
                })),
            },
        ],
    },
    parked: { records: [], more_after: null },
};

/* A text that is HTML, wherever a text of somebody else can stand. */
const hostile = {
    state: {
        ...answer("state"),
        service: HOSTILE,
        questions: IDS.map((id) => question(id, "stopped", HOSTILE, HOSTILE)),
        partitions: [partition(HOSTILE, 0, 3, { stopped: HOSTILE })],
    },
    lags: () => 3,
    fleet: {
        read_at: before(1),
        services: [{ ...answer("fleet").services[0], service: HOSTILE, stopped: HOSTILE }],
        types: [
            {
                ...answer("fleet").types[0],
                entity_type: HOSTILE,
                topic: HOSTILE,
                copies: [{ ...answer("fleet").types[0].copies[0], service: HOSTILE }],
            },
        ],
    },
    parked: {
        records: [
            {
                ...answer("parked").records[0],
                entity_type: HOSTILE,
                entity_key: HOSTILE,
                reason: HOSTILE,
            },
        ],
        more_after: null,
    },
    record: {
        ...answer("parked_record"),
        key: HOSTILE,
        value: HOSTILE,
        headers: { [HOSTILE]: HOSTILE },
    },
};

const usual = {
    state: answer("state"),
    lags: ({ lag_s: lag }, index, length) => (index < 20 ? null : (lag * index) / length),
    fleet: answer("fleet"),
    parked: answer("parked"),
    record: {
        ...answer("parked_record"),
        value: '{"id":12345678901234567890,"total":-3.50,"lines":[{"n":"a \\"b\\": {c}"}],"none":[]}',
    },
};

const STATES = { usual, unknown, many, hostile };

function history(made, seconds) {
    const step = STEPS[seconds];
    const length = seconds / step;
    const values = (value) => Array.from({ length }, (_, index) => value(index, length));
    const lags = made.state.partitions.flatMap((one) =>
        ["lag_s", "lag_records"].map((name) => ({
            name,
            topic: one.topic,
            partition: one.partition,
            values: values((index) => made.lags(one, index, length)),
        })),
    );
    const totals = [
        "applied_per_s",
        "published_per_s",
        "outbox_waiting",
        "commit_to_applied_p50_s",
        "commit_to_applied_p99_s",
    ].map((name, place) => ({
        name,
        topic: null,
        partition: null,
        values: values((index) => (made === unknown ? null : place + (index % 10) / 10)),
    }));
    return { step_s: step, taken_at: before(0), left_out: 0, series: [...lags, ...totals] };
}

function readAsset(url) {
    const name = url === "/" ? "index.html" : url.replace(/^\/assets\//, "");
    const file =
        name === "dygraph.min.js" ? process.env.DYGRAPHS : path.join(ASSETS, path.basename(name));
    return fs.existsSync(file)
        ? { type: TYPES[path.extname(file)], body: fs.readFileSync(file) }
        : null;
}

class MadeUpSidecar {
    constructor() {
        this.made = usual;
        this.token = "a-secret-of-the-test";
        this.acted = []; // what was asked to be done, and by whom
        this.isSilent = false;
        this.server = http.createServer((request, response) => this.handle(request, response));
    }

    /** @return its address. */
    open() {
        return new Promise((resolve) => {
            this.server.listen(0, "127.0.0.1", () =>
                resolve(`http://127.0.0.1:${this.server.address().port}/`),
            );
        });
    }

    close() {
        this.server.closeAllConnections();
        this.server.close();
    }

    /** Says something else from now on. */
    say(name) {
        this.made = STATES[name];
    }

    handle(request, response) {
        if (this.isSilent) {
            request.socket.destroy();
            return;
        }
        const url = new URL(request.url, "http://127.0.0.1");
        const asset = url.pathname.startsWith("/api/") ? null : readAsset(url.pathname);
        const { code, body } =
            asset === null ? this.answer(request, url) : { code: 200, body: null };
        response.writeHead(code, {
            "Content-Type": asset === null ? "application/json" : `${asset.type}; charset=utf-8`,
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
        });
        response.end(asset === null ? JSON.stringify(body) : asset.body);
    }

    answer(request, url) {
        const { made } = this;
        const act = /^\/api\/parked\/(\d+)\/(retry|skip)$/.exec(url.pathname);
        if (act !== null) {
            return this.act(request, Number(act[1]), act[2]);
        }
        if (/^\/api\/parked\/\d+$/.test(url.pathname)) {
            return { code: 200, body: made.record };
        }
        const bodies = {
            "/api/state": () => ({ ...made.state, taken_at: before(0), started_at: before(4000) }),
            "/api/history": () => history(made, Number(url.searchParams.get("seconds"))),
            "/api/fleet": () => made.fleet,
            "/api/parked": () => made.parked,
        };
        const body = bodies[url.pathname];
        return body === undefined
            ? { code: 404, body: { error: "there is no such page", next: null } }
            : { code: 200, body: body() };
    }

    act(request, id, name) {
        if (request.headers.authorization !== `Bearer ${this.token}`) {
            return {
                code: 403,
                body: { error: "this is not the token", next: "Look into listen_token_file." },
            };
        }
        this.acted.push({ id, name, who: request.headers["keepstep-who"] ?? null });
        return {
            code: 200,
            body: { parked_id: id, outcome: name === "skip" ? "skipped" : "applied", reason: null },
        };
    }
}

module.exports = { HOSTILE, MadeUpSidecar };
