import { parseArgs } from 'node:util';

export interface BenchCommand {
  suites: string[];
  peers: string[];
  jsonFile?: string;
  svgFile?: string;
  quick: boolean;
  /** Seconds of quiet before each timed row; default Ray's 10. */
  settleMs?: number;
  rows: RegExp;
}

export const usage = `npm run bench -- SUITE… [options]

  --peers ray,piscina    (ray, moleculer, piscina) run each workload there too, right after ours
  --rows PATTERN         only rows whose name matches this regular expression
  --json FILE            write the results as JSON
  --svg FILE             draw them as a chart
  --settle SECONDS       quiet time before each timed row (10, as Ray does)
  --quick                tiny counts, to see that everything runs; the figures mean nothing
  --help                 this text`;

/** Throws an Error for a person to read when the arguments make no sense. */
export function parseCommandLine(
  args: readonly string[],
  suiteNames: readonly string[],
): BenchCommand {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      peers: { type: 'string' },
      rows: { type: 'string', default: '' },
      json: { type: 'string' },
      svg: { type: 'string' },
      settle: { type: 'string' },
      quick: { type: 'boolean', default: false },
    },
  });
  for (const name of positionals) {
    if (!suiteNames.includes(name))
      throw new Error(`No suite "${name}"; there are: ${suiteNames.join(', ')}.`);
  }
  if (positionals.length === 0) throw new Error(`Name a suite: ${suiteNames.join(', ')}.`);
  const command: BenchCommand = {
    suites: positionals,
    peers: values.peers?.split(',').filter((name) => name !== '') ?? [],
    quick: values.quick,
    rows: new RegExp(values.rows),
  };
  if (values.json !== undefined) command.jsonFile = values.json;
  if (values.svg !== undefined) command.svgFile = values.svg;
  if (values.settle !== undefined) command.settleMs = secondsToMs(values.settle);
  return command;
}

function secondsToMs(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0 && text.trim() !== ''))
    throw new Error(`--settle takes seconds, not "${text}".`);
  return seconds * 1000;
}
