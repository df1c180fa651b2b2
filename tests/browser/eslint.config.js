/* What is checked in the page's scripts and in those that drive it. */
const rules = {
    "array-callback-return": "error",
    "consistent-return": "error",
    "default-case-last": "error",
    eqeqeq: "error",
    "no-const-assign": "error",
    "no-dupe-args": "error",
    "no-dupe-keys": "error",
    "no-eval": "error",
    "no-implied-eval": "error",
    "no-new-func": "error",
    "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Texts are hostile: use setText()." },
        { property: "outerHTML", message: "Texts are hostile: use setText()." },
        { property: "insertAdjacentHTML", message: "Texts are hostile: use element()." },
    ],
    "no-shadow": "error",
    "no-undef": "error",
    "no-unreachable": "error",
    "no-unused-vars": "error",
    "no-use-before-define": ["error", { functions: false, variables: false }],
    "no-var": "error",
    "prefer-const": "error",
    "max-lines-per-function": ["error", 70],
    "max-lines": ["error", 600],
    "max-params": ["error", 5],
    "max-len": ["error", { code: 120 }],
};

function known(names) {
    return Object.fromEntries(names.split(" ").map((name) => [name, "readonly"]));
}

const browser = known(
    "AbortSignal Dygraph MouseEvent document fetch getComputedStyle localStorage location navigator performance " +
        "reportError sessionStorage setInterval setTimeout window",
);

module.exports = [
    {
        files: ["operate/page/assets/*.js"],
        languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: browser },
        rules,
    },
    {
        files: ["tests/browser/*.js"],
        languageOptions: {
            ecmaVersion: 2022,
            sourceType: "commonjs",
            globals: {
                ...browser,
                ...known("Buffer URL __dirname console process require module setImmediate"),
            },
        },
        rules,
    },
];
