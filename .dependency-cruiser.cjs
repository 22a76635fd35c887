/**
 * The one-way folders of docs/ARCHITECTURE.md, as rules. A package is entered through its compiled files
 * (`@manta/runtime/ids` is `runtime/dist/ids.js`), so a rule about a package names both folders.
 */
const packages = ['runtime', 'head', 'worker', 'sdk', 'cli', 'apps', 'bench'];
const any = (names) => `^(${names.join('|')})/`;
const except = (...allowed) => any(packages.filter((name) => !allowed.includes(name)));

const PRODUCTION = { pathNot: '\\.(test|test-d)\\.ts$' };
const TESTING = '(^runtime/(src|dist)/testing/|^sdk/(src|dist)/testing/|^sdk/src/e2e/)';

/** Node modules that compute and touch nothing outside the process. */
const PURE_CORE = '^(node:)?(buffer|util|assert)$';
const PURE_FILES = [
  '^runtime/src/(ids|assert)\\.ts$',
  '^runtime/src/(errors|wire|resources)/',
  '^runtime/src/transport/transport\\.ts$',
  '^head/src/(tables|scheduling|health)/',
  '^worker/src/.*-state\\.ts$',
];

const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, ...PRODUCTION },
  to: { path: except(...allowed) },
});

module.exports = {
  forbidden: [
    only('runtime-stands-alone', '^runtime/src/', ['runtime'], 'runtime imports nothing of ours'),
    only(
      'head-on-runtime',
      '^head/src/',
      ['head', 'runtime'],
      'head and worker meet only through runtime/wire',
    ),
    only(
      'worker-on-runtime',
      '^worker/src/',
      ['worker', 'runtime'],
      'head and worker meet only through runtime/wire',
    ),
    only('sdk-on-runtime', '^sdk/src/', ['sdk', 'runtime'], 'sdk imports runtime alone'),
    only('apps-on-sdk', '^apps/', ['apps', 'sdk'], 'an application sees the public API alone'),
    only('bench-on-sdk', '^bench/', ['bench', 'sdk', 'runtime'], 'bench imports sdk and runtime'),
    {
      name: 'nothing-imports-cli',
      severity: 'error',
      comment: 'cli is the composition root',
      from: { pathNot: '^cli/' },
      to: { path: '^cli/' },
    },
    {
      name: 'wire-below-all',
      severity: 'error',
      comment: 'messages know ids, errors and limits, nothing that acts',
      from: { path: '^runtime/src/(wire|errors|ids|assert|time)', ...PRODUCTION },
      to: {
        path: '^runtime/src/',
        pathNot: '^runtime/src/(wire/|errors/|time/|ids\\.ts|assert\\.ts)',
      },
    },
    {
      name: 'transport-carries-bytes',
      severity: 'error',
      comment: 'codec and transport never import each other; rpc joins them',
      from: { path: '^runtime/src/(transport|broker)/', ...PRODUCTION },
      to: { path: '^runtime/src/(serialization|rpc|objects|channel|wire/(?!limits))' },
    },
    {
      name: 'codec-knows-no-io',
      severity: 'error',
      comment: 'codec and transport never import each other; rpc joins them',
      from: { path: '^runtime/src/serialization/', ...PRODUCTION },
      to: { path: '^runtime/src/(transport|broker|channel|rpc|objects)/' },
    },
    {
      name: 'head-decides-below-io',
      severity: 'error',
      comment: 'tables, scheduling and health decide; store, server and main act',
      from: { path: '^head/src/(tables|scheduling|health)/', ...PRODUCTION },
      to: { path: '^head/src/', pathNot: '^head/src/(tables|scheduling|health)/' },
    },
    {
      name: 'pure-files',
      severity: 'error',
      comment: 'a pure file does no I/O of its own: it returns effects',
      from: { path: PURE_FILES, ...PRODUCTION },
      to: { dependencyTypes: ['core'], pathNot: PURE_CORE },
    },
    {
      name: 'one-nats-client',
      severity: 'error',
      comment: 'the NATS client is known to one folder, which translates its errors',
      from: {
        pathNot: ['^runtime/src/transport/', '\\.test\\.ts$', TESTING, '^bench/'],
      },
      to: { path: 'node_modules/@nats-io/' },
    },
    {
      name: 'no-test-kit-in-production',
      severity: 'error',
      from: { path: any(packages), pathNot: ['\\.(test|test-d)\\.ts$', TESTING] },
      to: { path: ['\\.(test|test-d)\\.ts$', '^runtime/(src|dist)/testing/'] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared-dependencies',
      severity: 'error',
      from: { path: any(packages) },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    exclude: { path: ['\\.d\\.ts$', 'models-data'] },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.tests.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'default'] },
  },
};
